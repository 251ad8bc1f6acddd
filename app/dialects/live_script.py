"""What a live client is told: the events and sounds of a session as messages, in the order of docs/websocket.md."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.conversation.events import (
    AnalysisReady,
    Event,
    FinalTranscript,
    PartialTranscript,
    ReplyDropped,
    ReplyPaused,
    ReplyWritten,
    SentenceReady,
    SpeechStarted,
    SpeechStopped,
    TurnCancelled,
    TurnFailed,
)
from app.conversation.player import Sound, TurnOver
from app.conversation.turns import Turn

Message = dict[str, object]


@dataclass(slots=True)
class _Stream:
    """One character's sentences in a row."""

    message_id: str
    character: str
    is_open: bool = True
    "More text may follow."


@dataclass(slots=True)
class _Told:
    """What the client knows of one turn."""

    streams: list[_Stream] = field(default_factory=list)
    by_sentence: dict[int, _Stream] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    sounding: _Stream | None = None
    is_listened_to: bool = False
    "`speech_started` was told, and `speech_stopped` not yet."
    lacks_transcript: bool = False
    is_interrupted: bool = False
    "`interrupted` was told, and no sound since."


class LiveScript:
    """Turns what happens into messages.  Knows the order that the page promises, and nothing of sockets."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._turns: dict[str, _Told] = {}
        self._over: deque[str] = deque(maxlen=16)
        "Turns that ended lately; their analysis may still come."

    def begin(self, turn_id: str) -> None:
        """Tell of this turn from now on."""
        self._turns[turn_id] = _Told()

    # ---- events ------------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> Iterator[Message]:
        """Yield what an event is told as; nothing when its turn is none of those that are told of."""
        turn_id, fact = event.turn_id, event.fact
        told = self._turns.get(turn_id)
        if isinstance(fact, AnalysisReady) and (told is not None or turn_id in self._over):
            yield {"type": "analysis", "turn_id": turn_id, "analyser": fact.analyser, "scores": fact.scores}
        if told is None:
            return
        match fact:
            case SpeechStarted():
                told.is_listened_to = told.lacks_transcript = True
                yield {"type": "speech_started", "turn_id": turn_id}
            case SpeechStopped():
                yield from self._stop_listening(turn_id, told)
            case PartialTranscript(text=text):
                yield {"type": "stt_update", "turn_id": turn_id, "text": text}
            case FinalTranscript(text=text):
                yield from self._finish_listening(turn_id, told, text)
            case SentenceReady(index=index, text=text, character=character):
                yield from self._tell_sentence(turn_id, told, index, text, character)
            case ReplyWritten():
                yield from self._stop_text(told)
            case ReplyPaused():
                told.is_interrupted = True
                yield {"type": "interrupted", "turn_id": turn_id, "reason": "speech"}
            case TurnCancelled(reason=reason) | ReplyDropped(reason=reason):
                yield from self._interrupt(turn_id, told, reason)

    def _interrupt(self, turn_id: str, told: _Told, reason: str) -> Iterator[Message]:
        if not told.is_interrupted:
            told.is_interrupted = True
            yield {"type": "interrupted", "turn_id": turn_id, "reason": reason}

    def _stop_listening(self, turn_id: str, told: _Told) -> Iterator[Message]:
        if told.is_listened_to:
            told.is_listened_to = False
            yield {"type": "speech_stopped", "turn_id": turn_id}

    def _finish_listening(self, turn_id: str, told: _Told, text: str) -> Iterator[Message]:
        yield from self._stop_listening(turn_id, told)
        told.lacks_transcript = False
        yield {"type": "stt_finished", "turn_id": turn_id, "text": text}

    def _tell_sentence(self, turn_id: str, told: _Told, index: int, text: str, character: str) -> Iterator[Message]:
        if index > max(told.by_sentence, default=index) + 1:
            # The log has dropped those between; they are all told when the first of them is heard.
            return
        if (earlier := told.by_sentence.get(index)) is not None:
            # The reply is written again, since the language model died: only what is different now is told again.
            if (told.texts[index], earlier.character) == (text, character):
                return
            yield from self._stop_text(told)
            told.by_sentence = {i: stream for i, stream in told.by_sentence.items() if i < index}
        stream = told.streams[-1] if told.streams else None
        if stream is None or not stream.is_open or stream.character != character:
            yield from self._stop_text(told)
            stream = _Stream(f"{turn_id}-{len(told.streams)}", character)
            told.streams.append(stream)
            yield {
                "type": "text_stream_start", "message_id": stream.message_id, "turn_id": turn_id,
                "character_name": character,
            }  # fmt: skip
        told.by_sentence[index], told.texts[index] = stream, text
        yield {"type": "text_chunk", "message_id": stream.message_id, "sentence_index": index, "text": text}

    def _stop_text(self, told: _Told) -> Iterator[Message]:
        if told.streams and told.streams[-1].is_open:
            told.streams[-1].is_open = False
            yield {"type": "text_stream_stop", "message_id": told.streams[-1].message_id}

    # ---- what is played ----------------------------------------------------------------------------------------------

    def play(self, sound: Sound) -> Iterator[Message | bytes]:
        """Yield a piece of a reply: what announces it, and the sound."""
        turn_id, segment = sound.turn.id, sound.segment
        told = self._turns.setdefault(turn_id, _Told())
        if segment.index not in told.by_sentence:
            # It is left over from an earlier connection, which was told the text.
            for written in sound.turn.segments[segment.index :]:
                yield from self._tell_sentence(turn_id, told, written.index, written.text, written.character)
        stream = told.by_sentence[segment.index]
        if stream is not told.sounding or told.is_interrupted:
            yield {
                "type": "audio_stream_start", "message_id": stream.message_id, "turn_id": turn_id,
                "character_name": stream.character, "resumed": told.is_interrupted,
            }  # fmt: skip
            told.sounding, told.is_interrupted = stream, False
        yield {
            "type": "audio_chunk_meta", "message_id": stream.message_id, "sentence_index": segment.index,
            "chunk_index": sound.chunk_index,
        }  # fmt: skip
        yield sound.pcm16

    def end(self, over: TurnOver) -> Iterator[Message]:
        """Yield the end of a turn."""
        turn = over.turn
        told = self._turns.pop(turn.id, _Told())
        self._over.append(turn.id)
        # A client that was slow for so long that the log has dropped what happened is told the outcome of it.
        if over.has_sounded and turn.cut_short:
            yield from self._interrupt(turn.id, told, turn.cut_short)
        if told.lacks_transcript:
            yield from self._finish_listening(turn.id, told, turn.heard)
        yield from self._stop_text(told)
        if over.has_sounded and not told.is_interrupted:
            yield {"type": "audio_complete", "session_id": self._session_id, "turn_id": turn.id}
        yield {"type": "turn_complete", **describe_end(turn)}


def describe_end(turn: Turn) -> Message:
    """Return what became of a turn."""
    outcome, reason = "done", None
    if turn.cut_short:
        outcome, reason = "cancelled", turn.cut_short
    elif isinstance(turn.end, TurnFailed):
        outcome, reason = "failed", turn.end.code
    return {
        "turn_id": turn.id, "outcome": outcome, "reason": reason, "heard": turn.heard, "spoken": turn.spoken_text,
        "waterfall_ms": turn.waterfall(),
    }  # fmt: skip
