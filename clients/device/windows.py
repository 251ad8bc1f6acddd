"""Sound as a device gives it, cut into windows of 1280 samples at 16 kHz, mono."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
WINDOW_SAMPLES = 1280
WINDOW_BYTES = 2 * WINDOW_SAMPLES
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE


class Windows:
    """Turns interleaved PCM16 of any rate and number of channels into windows; what is left over waits for more."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._frame_bytes = 2 * channels
        self._channels = channels
        self._resampler = None if sample_rate == SAMPLE_RATE else Resampler(sample_rate, SAMPLE_RATE)
        self._rest = b""
        self._pcm16 = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the windows that are complete with this chunk, in order."""
        chunk = self._rest + chunk
        n_whole = len(chunk) - len(chunk) % self._frame_bytes
        self._rest = chunk[n_whole:]
        self._pcm16 += self._convert(chunk[:n_whole])
        n_windows = len(self._pcm16) // WINDOW_BYTES
        windows = [bytes(self._pcm16[i * WINDOW_BYTES : (i + 1) * WINDOW_BYTES]) for i in range(n_windows)]
        del self._pcm16[: n_windows * WINDOW_BYTES]
        return windows

    def _convert(self, frames: bytes) -> bytes:
        if self._channels == 1 and self._resampler is None:
            return frames
        samples = np.frombuffer(frames, "<i2").astype(np.float32)
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1)
        if self._resampler is not None:
            samples = self._resampler.feed(samples)
        return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


class Resampler:
    """Changes the rate of a stream by a polyphase filter: a windowed sinc, cut off below the lower of both rates.

    Chunks may have any length, also none: the stream comes out the same however it is cut.
    """

    ZERO_CROSSINGS = 12
    CUTOFF = 0.92
    "Of the lower rate's half: what is above is damped before it can fold back."

    def __init__(self, from_hz: int, to_hz: int) -> None:
        shared = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // shared, from_hz // shared
        self._taps = self._design()
        n_taps = self._taps.shape[1]
        # The first output is centred on the first input.
        self._held = np.zeros(n_taps // 2 - 1, np.float32)
        self._due = 0
        "Where the next output lies, in input samples times `up`, from the begin of what is held."

    def _design(self) -> NDArray[np.float32]:
        """Return the filter of every phase, shape (up, taps)."""
        widest = max(1.0, self._down / self._up)
        half = math.ceil(self.ZERO_CROSSINGS * widest)
        offsets = np.arange(-half + 1, half + 1) - np.arange(self._up)[:, None] / self._up
        window = np.cos(np.pi / 2 * np.clip(offsets / half, -1, 1)) ** 2
        taps = np.sinc(offsets * self.CUTOFF / widest) * window
        # Every phase lets a constant through unchanged.
        return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what can be told with these samples."""
        held = np.concatenate([self._held, samples])
        n_taps = self._taps.shape[1]
        last = (len(held) - n_taps) * self._up + self._up - 1
        places = np.arange(self._due, last + 1, self._down)
        starts, phases = np.divmod(places, self._up)
        made = np.einsum("ij,ij->i", held[starts[:, None] + np.arange(n_taps)], self._taps[phases])
        self._due += len(places) * self._down
        n_done = min(self._due // self._up, len(held))
        self._held = held[n_done:]
        self._due -= n_done * self._up
        return made.astype(np.float32)
