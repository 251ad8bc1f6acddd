"""How loud sound is."""

from __future__ import annotations

import math

import numpy as np

SILENT_DBFS = -96.0


def rms(pcm16: bytes) -> float:
    """Return the root mean square of 16-bit samples, 0 to 32768."""
    if not pcm16:
        return 0.0
    samples = np.frombuffer(pcm16, "<i2").astype(np.float32)
    return float(math.sqrt(float(np.dot(samples, samples)) / len(samples)))


def dbfs(level: float) -> float:
    """Return a root mean square in decibels below the loudest."""
    return max(SILENT_DBFS, 20 * math.log10(level / 32768)) if level > 0 else SILENT_DBFS
