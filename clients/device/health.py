"""When a stream counts as broken, and how long to wait before it is opened again.  Pure: the caller has the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clients.device.settings import MicrophoneSettings

Fault = Literal["stuck", "vanished", "repeating", "silent"]
"""No callback; the driver has stopped; the same sound again and again; exact zeros, which is what muting gives."""


class Backoff:
    """Waits that double from one failure to the next."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._n_failures = 0

    def failed(self) -> float:
        """Return how long to wait after one more failure."""
        wait_s = min(self._longest_s, self._first_s * 2.0 ** min(self._n_failures, 60))
        self._n_failures += 1
        return wait_s

    def worked(self) -> None:
        """Begin from the shortest wait again."""
        self._n_failures = 0


@dataclass
class StreamHealth:
    """Watches the chunks of one microphone over all the times that its stream is opened."""

    settings: MicrophoneSettings
    repeating_after_s: float = 5.0
    "The same bytes for so long, and not zeros, are no microphone, in seconds."
    is_muted: bool = False
    "Exact zeros, also after the stream was opened again: somebody has switched the microphone off."

    def __post_init__(self) -> None:
        self._chunk = b""
        self._last_chunk_s = 0.0
        self._same_since_s = 0.0
        self._silence_wait_s = 0.0
        self._opened(0.0)

    def opened(self, now_s: float) -> None:
        """Begin to watch a stream that was opened now."""
        self._opened(now_s)

    def _opened(self, now_s: float) -> None:
        self._last_chunk_s = self._same_since_s = now_s
        self._chunk = b""

    def heard(self, chunk: bytes, now_s: float) -> None:
        """Take note of a chunk."""
        self._last_chunk_s = now_s
        if chunk != self._chunk:
            self._chunk = chunk
            self._same_since_s = now_s
        if self.is_muted and chunk.strip(b"\0"):
            self.is_muted = False
            self._silence_wait_s = 0.0

    def check(self, is_active: bool, now_s: float) -> Fault | None:
        """Return what is wrong with the stream, if anything.

        is_active: what the driver says of the stream.
        """
        if not is_active:
            return "vanished"
        if now_s - self._last_chunk_s >= self.settings.stuck_after_s:
            return "stuck"
        same_s = now_s - self._same_since_s
        if self._chunk and not self._chunk.strip(b"\0"):
            return self._check_silence(same_s)
        if self._chunk and same_s >= self.repeating_after_s:
            return "repeating"
        return None

    def _check_silence(self, same_s: float) -> Fault | None:
        """Zeros make the stream be opened again, less and less often: a muted microphone is no fault."""
        wait_s = self._silence_wait_s or self.settings.silent_after_s
        if same_s < wait_s:
            return None
        self._silence_wait_s = min(wait_s * 10, max(3600.0, self.settings.silent_after_s))
        self.is_muted = True
        return "silent"
