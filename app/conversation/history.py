"""What was said and what was really heard, as the language model may know it."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from app.conversation.cast import write_script
from app.messages import ChatMessage


class Exchange(Protocol):
    """The part of a turn that is remembered; both may still change while the reply is being heard."""

    heard: str
    "The user's words; empty when nobody asked."

    @property
    def spoken_text(self) -> str:
        """The part of the reply that was or will be heard."""

    @property
    def spoken_lines(self) -> list[tuple[str, str]]:
        """The same, sentence by sentence, each with the character who says it."""


class History:
    """The last turns of one session."""

    def __init__(self, max_turns: int) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=max_turns)

    def add(self, exchange: Exchange) -> None:
        """Remember a turn that has ended."""
        self._exchanges.append(exchange)

    @property
    def last_reply(self) -> str:
        """What the user last heard; empty when nothing yet."""
        return next((text for exchange in reversed(self._exchanges) if (text := exchange.spoken_text)), "")

    def messages(self, names_speakers: bool = False) -> list[ChatMessage]:
        """Return the turns as chat messages, oldest first.

        names_speakers: write who said what, in the form in which the language model is to go on.
        """
        messages = []
        for exchange in self._exchanges:
            if exchange.heard:
                messages.append(ChatMessage("user", exchange.heard))
            if text := write_script(exchange.spoken_lines) if names_speakers else exchange.spoken_text:
                messages.append(ChatMessage("assistant", text))
        return messages
