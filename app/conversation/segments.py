"""The audio of one sentence, from its first chunk to its delivery."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.audio.pcm import BYTES_PER_SAMPLE
from app.pipeline.pipeline import Ticket

CHARS_PER_S = 15.0
"""How fast voices speak, where it is not yet known how long a sentence will be."""


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
    _cut: tuple[float, str] | None = None
    "Seconds and words that were heard of it when it was cut off; None when it was not."
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

    def cut_off(self, position: int) -> None:
        """Note that only the first `position` bytes were heard; call it before the segment is told to be complete."""
        heard_s = position / (BYTES_PER_SAMPLE * self.sample_rate)
        length_s = self.duration_s if self.is_complete else max(self.duration_s, len(self.text) / CHARS_PER_S)
        n_chars = len(self.text) * (heard_s / length_s if length_s else 1.0)
        end = max((match.end() for match in re.finditer(r"\S+", self.text) if match.end() <= n_chars), default=0)
        self._cut = round(heard_s, 3), f"{self.text[:end]} …" if end else ""

    @property
    def heard_s(self) -> float:
        """How much of it was or will be heard, in seconds."""
        return self.duration_s if self._cut is None else self._cut[0]

    @property
    def heard_text(self) -> str:
        """The words that were or will be heard; those of a sentence that was cut off end with an ellipsis."""
        return self.text if self._cut is None else self._cut[1]

    def stop(self) -> None:
        """Expect no more audio: what is being heard is ended where it is, of the rest nothing is kept."""
        self.is_complete = self.was_begun and bool(self.chunks)
        self.is_skipped = not self.is_complete

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
