"""The sentences of one turn's reply, from their text to what was heard of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.conversation.events import Fact, SegmentReady, SentenceReady, SentenceSkipped, SpeechReady
from app.conversation.segments import Segment
from app.messages import Sentence, SpeechChunk


class Reply:
    """All segments of a turn in their order."""

    def __init__(self, record: Callable[[Fact], None]) -> None:
        self.segments: list[Segment] = []
        self.is_written = False
        "No more sentences come."
        self._record = record

    # ---- how it grows ------------------------------------------------------------------------------------------------

    def contradicts(self, sentence: Sentence) -> bool:
        """True when a reply that is written a second time does not begin with what was heard of the first."""
        known = self.segments[sentence.index : sentence.index + 1]
        return bool(known) and known[0].text != sentence.text

    def add(self, sentence: Sentence) -> bool:
        """Take the next sentence; false when it is known already."""
        if sentence.index < len(self.segments):
            return False
        self.segments.append(Segment(sentence.index, sentence.text, character=sentence.character))
        self._record(SentenceReady(sentence.index, sentence.text, sentence.character))
        return True

    def add_ready(self, text: str, pcm16: bytes, sample_rate: int) -> None:
        """Take a sentence that is spoken already."""
        segment = Segment(len(self.segments), text, [pcm16], sample_rate, is_complete=True)
        self.segments.append(segment)
        self._record(SentenceReady(segment.index, text))
        self._record(SegmentReady(segment.index, segment.duration_s))

    def add_speech(self, chunk: SpeechChunk) -> bool:
        """Take audio of a sentence; false when nothing of it is new."""
        segment = self.segments[chunk.sentence_index]
        new = segment.add(chunk.pcm16, chunk.sample_rate)
        if new:
            self._record(SpeechReady(segment.index, len(segment.chunks) - 1, len(new)))
        return bool(new)

    def complete(self, index: int) -> None:
        """Note that all audio of a sentence is there."""
        segment = self.segments[index]
        if segment.chunks:
            segment.is_complete = True
            self._record(SegmentReady(segment.index, segment.duration_s))
        else:
            self.skip(index, "no-audio")

    def skip(self, index: int, code: str) -> None:
        """Go on without the rest of a sentence."""
        self.segments[index].stop()
        self._record(SentenceSkipped(index, code))

    def write_again(self) -> None:
        """Expect the reply anew: what was heard of it stays."""
        n_kept = max((segment.index + 1 for segment in self.segments if segment.was_begun), default=0)
        for segment in self.segments[n_kept:]:
            if segment.ticket is not None:
                segment.ticket.cancel()
        del self.segments[n_kept:]

    # ---- how it ends -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Expect no more audio."""
        for segment in self.segments:
            if not segment.is_settled:
                segment.stop()

    def drop_unheard(self) -> None:
        """Forget what nobody has begun to hear."""
        for segment in self.segments:
            if not segment.was_begun:
                segment.is_skipped, segment.is_complete = True, False

    def let_go(self) -> None:
        """Drop the audio; what was never delivered counts as not heard."""
        for segment in self.segments:
            segment.is_skipped = segment.is_skipped or not segment.is_delivered
            segment.chunks.clear()

    # ---- what readers ask --------------------------------------------------------------------------------------------

    @property
    def is_spoken(self) -> bool:
        """True when no more audio comes."""
        return self.is_written and all(segment.is_settled for segment in self.segments)

    @property
    def is_mute(self) -> bool:
        """True when no sentence of it could be spoken."""
        return bool(self.segments) and all(segment.is_skipped for segment in self.segments)

    @property
    def spoken_lines(self) -> list[tuple[str, str]]:
        """What was or will be heard, sentence by sentence, each with the character who says it."""
        return [(s.character, s.heard_text) for s in self.segments if not s.is_skipped and s.heard_text]

    def waiting(self) -> Iterator[Segment]:
        """Yield the segments that are not yet delivered, in order."""
        return (s for s in self.segments if not s.is_skipped and not s.is_delivered)
