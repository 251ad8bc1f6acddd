"""Sounds that tests make themselves."""

from __future__ import annotations

import io
import math
import struct
import wave


def speech_wav(first: int, seconds: float = 0.5, sample_rate: int = 16_000) -> bytes:
    """Return a WAV whose first sample is `first`, by which the fake recogniser tells utterances apart; 0 is silence."""
    n_samples = round(seconds * sample_rate)
    level = 3_000 if first else 0
    samples = [first, *(round(level * math.sin(i / 8)) for i in range(1, n_samples))]
    with io.BytesIO() as body:
        with wave.open(body, "wb") as file:
            file.setparams((1, 2, sample_rate, 0, "NONE", ""))
            file.writeframes(struct.pack(f"<{n_samples}h", *samples))
        return body.getvalue()
