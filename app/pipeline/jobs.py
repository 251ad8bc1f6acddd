"""Work as the hub sees it: what is done, for whom, and all that is needed to do it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.messages import Header, Message, Utterance, UtteranceChunk

Sink = Callable[["HubJob", Message], None]
"""Takes what a job gives; called from the pipeline's thread."""


@dataclass(frozen=True)
class Redone(Message):
    """The hub's own word: the job begins again on another worker; what it gave before will be given anew."""

    stage: str


@dataclass(eq=False)
class HubJob:
    """A job as the hub sees it: all that is needed to do it again."""

    id: int
    message: Message
    sink: Sink
    submitted_at_s: float
    started_at_s: float = 0.0
    completed_at_s: float = 0.0
    "When the last of an utterance arrived that came piece by piece; 0 before, and for all other work."
    attempt: int = 0
    "0 while it has never been lost."
    chunks: list[UtteranceChunk] = field(default_factory=list)

    @property
    def header(self) -> Header:
        return self.message.header

    def whole_message(self) -> Message:
        """Return the message with all speech that has arrived for it."""
        if not self.chunks or not isinstance(self.message, Utterance):
            return self.message
        speech = b"".join([self.message.pcm16, *(chunk.pcm16 for chunk in self.chunks)])
        return replace(self.message, pcm16=speech, is_complete=self.is_complete)

    @property
    def is_complete(self) -> bool:
        if self.chunks and self.chunks[-1].is_last:
            return True
        return not isinstance(self.message, Utterance) or self.message.is_complete
