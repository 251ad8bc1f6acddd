"""Makes the silence around a spoken sentence equal for all engines, as the audio arrives."""

from __future__ import annotations

import numpy as np

from app.audio.pcm import BYTES_PER_SAMPLE

_WINDOW_S = 0.01
_QUIET_RMS = 100.0
"""About -50 dBFS: above the noise of every flite voice (at most 42), below their softest consonants."""


class SilenceTrimmer:
    """Leaves a little silence before one sentence and a breath after it; pauses inside it stay as they are."""

    def __init__(self, sample_rate: int, *, keep_before_s: float = 0.06, keep_after_s: float = 0.12) -> None:
        """Keep `keep_before_s` before the first sound, because soft consonants start below the threshold.

        flite adds 150 to 280 ms before and 60 to 220 ms after, espeak nothing.
        """
        self._window_bytes = BYTES_PER_SAMPLE * round(sample_rate * _WINDOW_S)
        self._before_bytes = BYTES_PER_SAMPLE * round(sample_rate * keep_before_s)
        self._after_bytes = BYTES_PER_SAMPLE * round(sample_rate * keep_after_s)
        self._held = b""
        self._has_sound = False

    def feed(self, pcm16: bytes) -> bytes:
        """Return what is now known to belong to the sentence; may be empty."""
        self._held += pcm16
        loud = self._find_loud_windows()
        if not loud.size:
            if not self._has_sound:
                self._held = self._held[-self._before_bytes - self._window_bytes :]
            return b""
        start = 0 if self._has_sound else max(0, int(loud[0]) * self._window_bytes - self._before_bytes)
        end = (int(loud[-1]) + 1) * self._window_bytes
        self._has_sound = True
        sound, self._held = self._held[start:end], self._held[end:]
        return sound

    def finish(self) -> bytes:
        """Return the end of the sentence, always `keep_after_s` long; empty when there was no sound at all."""
        tail = self._held[: self._after_bytes].ljust(self._after_bytes, b"\0") if self._has_sound else b""
        self._held = b""
        return tail

    def _find_loud_windows(self) -> np.ndarray:
        n_windows = len(self._held) // self._window_bytes
        samples = np.frombuffer(self._held, "<i2", n_windows * self._window_bytes // BYTES_PER_SAMPLE)
        windows = samples.astype(np.float32).reshape(n_windows, self._window_bytes // BYTES_PER_SAMPLE)
        return np.flatnonzero((windows**2).mean(axis=1) > _QUIET_RMS**2)
