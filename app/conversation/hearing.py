"""An utterance that is still arriving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.conversation.turns import Turn


class Listener(Protocol):
    """The part of a session that an arriving utterance needs."""

    def feed(self, turn: Turn, pcm16: bytes, is_last: bool) -> None: ...

    def forget(self, turn: Turn, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Hearing:
    """An utterance that is still arriving."""

    session: Listener
    turn: Turn

    def feed(self, pcm16: bytes) -> None:
        """Add speech: PCM16 mono at SPEECH_RATE_HZ, any length."""
        if pcm16:
            self.session.feed(self.turn, pcm16, is_last=False)

    def finish(self, pcm16: bytes = b"") -> None:
        """Say that the utterance is complete."""
        self.session.feed(self.turn, pcm16, is_last=True)

    def abandon(self, reason: str) -> None:
        """Forget the utterance: it will never be complete."""
        self.session.forget(self.turn, reason)
