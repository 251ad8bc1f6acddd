"""One turn: an utterance (or typed words) and its reply, as a state machine without threads, processes or clock.

Every method expects its session's lock to be held.  `receive` takes what the stages give and returns what they do next.
"""

from __future__ import annotations

from collections.abc import Callable

from app.audio.pcm import SPEECH_RATE_HZ, duration_s
from app.conversation.events import (
    AnalysisReady,
    Fact,
    FinalTranscript,
    PartialTranscript,
    ReplyDropped,
    ReplyWritten,
    StageTrouble,
    TurnCancelled,
    TurnDone,
    TurnEnd,
    TurnFailed,
)
from app.conversation.reply import Reply
from app.conversation.segments import Segment
from app.messages import (
    Analysis,
    Header,
    Mark,
    Message,
    Prompt,
    Sentence,
    SpeechChunk,
    StageDone,
    StageFailed,
    Transcript,
    Utterance,
)
from app.pipeline.jobs import HubJob, Redone
from app.pipeline.pipeline import Ticket


class Turn:
    """One utterance and its reply; ends in exactly one of TurnDone, TurnFailed, TurnCancelled."""

    def __init__(
        self,
        turn_id: str,
        session_id: str,
        kind: str,
        is_polled: bool,
        record: Callable[[Fact], None],
        now_s: float,
    ) -> None:
        self.id = turn_id
        self.session_id = session_id
        self.kind = kind
        "`heard`, `typed` or `said`."
        self.is_polled = is_polled
        "GET /audio takes its segments; otherwise the request that began it does."
        self.cut_short = ""
        "Why not all of its reply was heard; empty when nothing kept it from being."
        self.takes_over = False
        "It is heard over the replies before it, and cancels them once words are understood."
        self.generation = 0
        self.begin: Callable[[], list[Message]] = list
        "Gives the first messages when the turn's time has come."
        self.end: TurnEnd | None = None
        self.reply = Reply(record)
        self.heard = ""
        "The user's words."
        self.heard_s = 0.0
        "Length of the utterance, in seconds."
        self.marks: dict[str, float] = {"received": now_s}
        self.last_progress_s = now_s
        self.tickets: list[Ticket] = []
        self._record = record
        self._speech: list[bytes] = []
        self._speech_is_complete = False
        self._end_of_reply: TurnEnd = TurnDone()

    # ---- what begins a turn ---------------------------------------------------------------------------------------

    @property
    def header(self) -> Header:
        return Header(self.session_id, self.id, self.generation)

    def add_speech(self, pcm16: bytes, is_last: bool, now_s: float) -> None:
        """Keep speech until the turn starts; from then on it goes straight to the stages."""
        if not self.is_started:
            self._speech.append(pcm16)
            self._speech_is_complete = is_last
        self.heard_s += duration_s(pcm16, SPEECH_RATE_HZ)
        if is_last:
            self.marks["uploaded"] = now_s

    def utterance(self) -> Utterance:
        """Return the speech that has arrived so far, for the stages."""
        speech = b"".join(self._speech)
        self._speech.clear()
        return Utterance(self.header, speech, self._speech_is_complete)

    def nothing_heard(self) -> list[Message]:
        """End the turn, since its utterance is silent."""
        self._record(FinalTranscript(""))
        self.finish(TurnDone())
        return []

    def say(self, texts: list[str]) -> list[Message]:
        """Say these sentences, with nobody asking."""
        self.reply.is_written = True
        messages = [m for i, text in enumerate(texts) for m in self._on_sentence(Sentence(self.header, i, text))]
        self._end_when_spoken()
        return messages

    def play(self, pcm16: bytes, sample_rate: int) -> list[Message]:
        """Play ready audio, with nobody asking."""
        self.reply.is_written = True
        self.reply.add_ready("", pcm16, sample_rate)
        self._end_when_spoken()
        return []

    # ---- what the stages give -------------------------------------------------------------------------------------

    def receive(self, job: HubJob, message: Message, make_prompt: Callable[[str], Prompt]) -> list[Message]:
        """Take one message of a job and return what is to be submitted next.  Actions are the session's business."""
        if isinstance(message, Analysis):
            self._record(AnalysisReady(message.analyser, message.scores))
            return []
        if isinstance(message, (StageDone, StageFailed)) and message.stage == "analysis":
            if isinstance(message, StageFailed):
                self._record(StageTrouble("analysis", message.code))
            return []
        if self.end is not None or message.header.generation != self.generation:
            return []
        follow_ups: list[Message] = []
        match message:
            case Transcript(is_final=False, text=text):
                self._record(PartialTranscript(text))
            case Transcript():
                follow_ups = self._on_final_transcript(message, make_prompt)
            case Sentence():
                follow_ups = self._on_sentence(message)
            case SpeechChunk():
                self._on_speech(message)
            case Mark(name=name):
                self.marks.setdefault(name, message.header.created_at_s)
            case Redone(stage=stage):
                self._on_redone(stage, job)
            case StageDone(stage=stage):
                self._on_done(stage, job)
            case StageFailed():
                self._on_failed(message, job)
        return follow_ups

    def _on_final_transcript(self, transcript: Transcript, make_prompt: Callable[[str], Prompt]) -> list[Message]:
        self.heard = transcript.text
        self.marks["transcript"] = transcript.header.created_at_s
        self._record(FinalTranscript(transcript.text, transcript.language))
        if not transcript.text:
            self.finish(TurnDone())
            return []
        return [make_prompt(transcript.text)]

    def _on_sentence(self, sentence: Sentence) -> list[Message]:
        self.marks.setdefault("first_sentence", sentence.header.created_at_s)
        if self.reply.contradicts(sentence):
            self.finish(TurnFailed("stage-died", "the reply was lost after its beginning had been heard"))
            return []
        return [sentence] if self.reply.add(sentence) else []

    def _on_speech(self, chunk: SpeechChunk) -> None:
        if self.reply.add_speech(chunk):
            self.marks.setdefault("first_speech", chunk.header.created_at_s)

    def _on_redone(self, stage: str, job: HubJob) -> None:
        self._record(StageTrouble(stage, "stage-died"))
        if isinstance(job.message, Sentence):
            self.segments[job.message.index].begin_again()
        elif stage == "llm":
            self.reply.write_again()

    def _on_done(self, stage: str, job: HubJob) -> None:
        if isinstance(job.message, Sentence):
            self.reply.complete(job.message.index)
        elif stage == "llm":
            self.reply.is_written = True
            self._record(ReplyWritten())
        elif stage == "stt" and "transcript" not in self.marks:
            self.finish(TurnFailed("no-transcript", "speech recognition ended without a transcript"))
        self._end_when_spoken()

    def _on_failed(self, failure: StageFailed, job: HubJob) -> None:
        if isinstance(job.message, Sentence):
            self.reply.skip(job.message.index, failure.code)
            self._end_when_spoken()
        elif failure.stage == "llm" and self.segments:
            # What was already said is heard before the apology.
            self.reply.is_written, self._end_of_reply = True, TurnFailed(failure.code, failure.message)
            self._end_when_spoken()
        else:
            self.finish(TurnFailed(failure.code, failure.message))

    def _end_when_spoken(self) -> None:
        if self.end is not None or not self.reply.is_spoken:
            return
        if self.reply.is_mute:
            self.finish(TurnFailed("not-spoken", "no sentence of the reply could be spoken"))
        else:
            self.finish(self._end_of_reply)

    # ---- the end --------------------------------------------------------------------------------------------------

    def finish(self, end: TurnEnd) -> None:
        """End the turn, once; work that is still under way is dropped."""
        if self.end is not None:
            return
        self.end = end
        self.reply.stop()
        if not isinstance(end, TurnDone):
            self.generation += 1
            for ticket in [*self.tickets, *(s.ticket for s in self.segments if s.ticket is not None)]:
                ticket.cancel()
        self.tickets.clear()
        self._speech.clear()
        self._record(end)

    def cancel(self, reason: str) -> None:
        """End the turn before its reply is complete, and drop what was not yet delivered."""
        self.cut_short = reason
        self.reply.drop_unheard()
        if self.end is not None:
            self._record(ReplyDropped(reason))
        self.finish(TurnCancelled(reason))

    def apologise(self, text: str, pcm16: bytes, sample_rate: int) -> None:
        """Give a failed turn something to hear."""
        self.reply.add_ready(text, pcm16, sample_rate)

    # ---- what readers ask -----------------------------------------------------------------------------------------

    @property
    def segments(self) -> list[Segment]:
        return self.reply.segments

    @property
    def is_started(self) -> bool:
        return "started" in self.marks

    @property
    def is_being_heard(self) -> bool:
        """True while it is not known whether an utterance over other replies has words."""
        return self.takes_over and self.end is None and "transcript" not in self.marks

    @property
    def spoken_text(self) -> str:
        """What was or will be heard of the reply."""
        return " ".join(text for _, text in self.spoken_lines)

    @property
    def spoken_lines(self) -> list[tuple[str, str]]:
        """The same sentence by sentence, each with the character who says it."""
        return self.reply.spoken_lines

    @property
    def is_heard_out(self) -> bool:
        """True when the turn has ended and everything it said was delivered."""
        return self.end is not None and next(self.reply.waiting(), None) is None

    def waterfall(self) -> dict[str, float]:
        """Return when each thing happened, in milliseconds after the upload began."""
        start_s = self.marks["received"]
        return {
            name: round((at_s - start_s) * 1000, 2) for name, at_s in sorted(self.marks.items(), key=lambda m: m[1])
        }
