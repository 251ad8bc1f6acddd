"""PCM16: signed 16-bit little-endian mono, the only sound that travels inside."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SPEECH_RATE_HZ = 16_000
"""The rate of every utterance: what speech recognisers and analysers are trained on."""

BYTES_PER_SAMPLE = 2

FULL_SCALE = 32_768

SILENCE_DBFS = -60.0
"""Loudest window of an upload that is worth no recognition.

Recordings of real speech, far and quiet ones too, have their loudest window above -33 dBFS, and a microphone with no
automatic gain hears a quiet voice across a table near -50; the hiss of cheap microphones lies below -65.
"""

SILENCE_WINDOW_S = 0.02
_WINDOWS_AT_ONCE = 20


def duration_s(pcm16: bytes, sample_rate: int) -> float:
    """Return how long the audio plays, in seconds."""
    return len(pcm16) / (BYTES_PER_SAMPLE * sample_rate)


def to_samples(pcm16: bytes) -> NDArray[np.float32]:
    """Return float32 samples in [-1, 1]; an odd last byte is dropped."""
    return _as_int16(pcm16).astype(np.float32) / np.float32(FULL_SCALE)


def from_samples(samples: NDArray[np.floating]) -> bytes:
    """Return PCM16 of float samples; what is outside [-1, 1] is clipped, NaN becomes 0."""
    scaled = np.rint(np.clip(np.nan_to_num(samples), -1, 1) * np.float32(FULL_SCALE))
    return np.minimum(scaled, FULL_SCALE - 1).astype("<i2").tobytes()


def level_dbfs(pcm16: bytes) -> float:
    """Return the RMS level against full scale: 0 for the loudest square wave, -inf for digital silence."""
    samples = _as_int16(pcm16).astype(np.float64)
    return _to_dbfs(float(np.sqrt(np.mean(samples**2)))) if len(samples) else -math.inf


def is_silent(pcm16: bytes, sample_rate: int, threshold_dbfs: float = SILENCE_DBFS) -> bool:
    """Say whether no window of the utterance is louder than the threshold.

    The mean of each window does not count: cheap converters lift the whole signal by a constant.
    """
    samples = _as_int16(pcm16)
    window = max(1, min(len(samples), round(SILENCE_WINDOW_S * sample_rate)))
    # The last window is taken from the end, so that no sample goes unheard.
    starts = [*range(0, len(samples) - window + 1, window), max(0, len(samples) - window)]
    if not len(samples):
        return True
    # Bit by bit, because in speech the first second usually answers the question.
    for i in range(0, len(starts), _WINDOWS_AT_ONCE):
        windows = np.stack([samples[start : start + window] for start in starts[i : i + _WINDOWS_AT_ONCE]])
        if _to_dbfs(float(windows.std(axis=1, dtype=np.float32).max())) > threshold_dbfs:
            return False
    return True


def tone(
    frequency_hz: float,
    length_s: float,
    sample_rate: int = SPEECH_RATE_HZ,
    *,
    peak_dbfs: float = -12.0,
    fade_s: float = 0.01,
) -> bytes:
    """Make a sine for a signal; it fades in and out, so that no loudspeaker clicks."""
    n_samples = round(length_s * sample_rate)
    wave = np.sin(2 * np.pi * frequency_hz / sample_rate * np.arange(n_samples)) * 10 ** (peak_dbfs / 20)
    n_fade = min(round(fade_s * sample_rate), n_samples // 2)
    if n_fade:
        ramp = np.sin(np.linspace(0, np.pi / 2, n_fade, endpoint=False)) ** 2
        wave[:n_fade] *= ramp
        wave[-n_fade:] *= ramp[::-1]
    return from_samples(wave)


def _as_int16(pcm16: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm16, "<i2", count=len(pcm16) // BYTES_PER_SAMPLE)


def _to_dbfs(rms: float) -> float:
    return 20 * math.log10(rms / FULL_SCALE) if rms > 0 else -math.inf
