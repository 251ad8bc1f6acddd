"""The last seconds of sound, in memory that never grows."""

from __future__ import annotations


class Ring:
    """Keeps the newest `seconds` of PCM16."""

    def __init__(self, seconds: float, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._memory = bytearray(2 * round(seconds * sample_rate))
        self._at = 0
        "Where the next byte goes."
        self._n_bytes = 0

    def write(self, pcm16: bytes) -> None:
        """Add sound; the oldest gives way."""
        size = len(self._memory)
        pcm16 = pcm16[-size:]
        n_first = min(len(pcm16), size - self._at)
        self._memory[self._at : self._at + n_first] = pcm16[:n_first]
        self._memory[: len(pcm16) - n_first] = pcm16[n_first:]
        self._at = (self._at + len(pcm16)) % size
        self._n_bytes = min(size, self._n_bytes + len(pcm16))

    def read_last(self, seconds: float) -> bytes:
        """Return the newest sound, as much as there is of what is asked for."""
        n_bytes = min(self._n_bytes, 2 * round(seconds * self._sample_rate))
        start = self._at - n_bytes
        if start >= 0:
            return bytes(self._memory[start : self._at])
        return bytes(self._memory[start:] + self._memory[: self._at])

    def clear(self) -> None:
        """Forget everything: what comes next does not follow on it."""
        self._at = self._n_bytes = 0
