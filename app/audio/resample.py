"""Sample rates: from any to any, whole or as it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.audio.pcm import FULL_SCALE, to_samples

if TYPE_CHECKING:
    import soxr


def resample(pcm16: bytes, from_hz: int, to_hz: int) -> bytes:
    """Change the sample rate of mono audio; `round(n * to_hz / from_hz)` samples come out."""
    resampler = StreamResampler(from_hz, to_hz)
    return resampler.feed(pcm16) + resampler.flush()


class StreamResampler:
    """Changes the sample rate of audio as it arrives; the output lags the input by about 20 ms.

    However the audio is cut into chunks, the same bytes come out: floats are fed to soxr, because it dithers integers.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream: soxr.ResampleStream | None = None
        if from_hz != to_hz:
            import soxr

            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")

    def feed(self, pcm16: bytes) -> bytes:
        """Take whole samples and return those that are ready."""
        return self._resample(pcm16, is_last=False)

    def flush(self) -> bytes:
        """Return the samples that were held back; nothing may be fed after it."""
        return self._resample(b"", is_last=True)

    def _resample(self, pcm16: bytes, is_last: bool) -> bytes:
        if self._stream is None:
            return pcm16
        samples = self._stream.resample_chunk(to_samples(pcm16), last=is_last)
        # As from_samples does, but in place: a live reply is made of many small chunks, and no number here is none.
        np.rint(np.multiply(samples, np.float32(FULL_SCALE), out=samples), out=samples)
        return np.clip(samples, -FULL_SCALE, FULL_SCALE - 1, out=samples).astype("<i2").tobytes()
