"""A scripted voice for tests and benchmarks."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from app.audio.pcm import tone
from app.fake import FakeConfig
from app.tts.backend import Speech

# Kept, because a benchmark of the service should not measure how fast sines are computed.
_hum = functools.lru_cache(maxsize=256)(tone)


def pitch_hz(voice: str) -> float:
    """Return how high a voice hums; the default hums lowest, and most names differ from each other."""
    return 220.0 + 20.0 * (1 + zlib.crc32(voice.encode()) % 50 if voice else 0)


class FakeTts:
    """Hums as long as it would take to say the text, each voice at a pitch of its own."""

    @dataclass(frozen=True)
    class Config(FakeConfig):
        """How it hums, when and how it fails."""

        sample_rate: int = 16000
        "Hz."
        s_per_character: float = 0.02
        "Length of the audio for each character of text, in seconds."
        chunk_s: float = 0.5
        "Length of the pieces it gives, in seconds."

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> None:
        """Nothing to load."""

    def synthesize(self, text: str, voice: str = "") -> Iterator[Speech]:
        """Yield a hum."""
        self._config.fail_if_told(text)
        rate = self._config.sample_rate
        hum = _hum(pitch_hz(voice), max(0.02, len(text) * self._config.s_per_character), rate)
        step = 2 * max(1, int(self._config.chunk_s * rate))
        for start in range(0, len(hum), step):
            self._config.pause()
            yield Speech(hum[start : start + step], rate)

    def close(self) -> None:
        """Nothing to close."""
