"""The audio of one sentence, from its first chunk to its delivery."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.audio.pcm import BYTES_PER_SAMPLE
from app.pipeline.pipeline import Ticket


@dataclass(eq=False, slots=True)
class Segment:
    """The audio of one sentence, as it grows and as it is handed out."""

    index: int
    text: str
    chunks: list[bytes] = field(default_factory=list)
    sample_rate: int = 0
    is_complete: bool = False
    is_skipped: bool = False
    is_claimed: bool = False
    "A reader is handing it out."
    is_delivered: bool = False
    heard_bytes: int | None = None
    "How much of it was heard when it was cut off; None when it was not."
    ticket: Ticket | None = None
    character: str = ""
    "Who says it; empty when there are no characters."
    _bytes_to_drop: int = 0

    @property
    def pcm16(self) -> bytes:
        return b"".join(self.chunks)

    def audio_from(self, position: int, max_bytes: int) -> bytes:
        """Return the audio after the first `position` bytes, up to the end of a chunk; empty when there is no more."""
        for chunk in self.chunks:
            if position < len(chunk):
                return chunk[position : position + max_bytes]
            position -= len(chunk)
        return b""

    @property
    def heard_s(self) -> float:
        """How much of it was or will be heard, in seconds."""
        if self.heard_bytes is None:
            return self.duration_s
        return round(self.heard_bytes / (BYTES_PER_SAMPLE * self.sample_rate), 3)

    @property
    def heard_text(self) -> str:
        """The words that were or will be heard; one that was cut off ends with an ellipsis."""
        if self.heard_bytes is None or not self.n_bytes:
            return self.text
        n_chars = len(self.text) * self.heard_bytes / self.n_bytes
        ends = (match.end() for match in re.finditer(r"\S+", self.text))
        end = max((end for end in ends if end <= n_chars), default=0)
        return f"{self.text[:end]} …" if end else ""

    @property
    def n_bytes(self) -> int:
        return sum(map(len, self.chunks))

    @property
    def duration_s(self) -> float:
        """How long it plays, in seconds; counted without joining the chunks."""
        return round(self.n_bytes / (BYTES_PER_SAMPLE * self.sample_rate), 3)

    @property
    def is_settled(self) -> bool:
        """True when no more audio will come."""
        return self.is_complete or self.is_skipped

    @property
    def was_begun(self) -> bool:
        """True when the device has heard or is hearing it."""
        return self.is_delivered or self.is_claimed

    def begin_again(self) -> None:
        """Expect the sentence anew: what is already there is kept, and the new take is joined behind it."""
        self._bytes_to_drop = self.n_bytes

    def add(self, pcm16: bytes, sample_rate: int) -> bytes:
        """Append audio and return the part that is new."""
        if self.chunks and sample_rate != self.sample_rate:
            # Another voice speaks the second take: the two cannot be joined.
            if self.was_begun:
                return b""
            self.chunks.clear()
            self._bytes_to_drop = 0
        dropped = min(self._bytes_to_drop, len(pcm16))
        self._bytes_to_drop -= dropped
        new = pcm16[dropped:]
        if new:
            self.chunks.append(new)
            self.sample_rate = sample_rate
        return new
