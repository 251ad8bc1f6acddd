"""The three short tones by which a device says where it is."""

from __future__ import annotations

import numpy as np

STEPS = {
    "wake": ((880.0, 0.04), (1320.0, 0.05)),
    "end": ((1320.0, 0.04), (880.0, 0.05)),
    "failure": ((330.0, 0.14), (0.0, 0.05), (247.0, 0.2)),
}
"""Pitch in hertz and length in seconds, step by step; short enough to be over before somebody speaks."""
FADE_S = 0.005


def make_tones(sample_rate: int, volume: float) -> dict[str, bytes]:
    """Return the tones as PCM16."""
    return {
        name: b"".join(_step(pitch, length_s, sample_rate, volume) for pitch, length_s in steps)
        for name, steps in STEPS.items()
    }


def _step(pitch_hz: float, length_s: float, sample_rate: int, volume: float) -> bytes:
    at_s = np.arange(round(length_s * sample_rate)) / sample_rate
    # Without soft ends a tone clicks.
    edge = np.minimum(1.0, np.minimum(at_s, at_s[::-1]) / FADE_S)
    return (32767 * volume * edge * np.sin(2 * np.pi * pitch_hz * at_s)).astype("<i2").tobytes()
