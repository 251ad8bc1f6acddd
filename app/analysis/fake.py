"""A scripted analyser for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.audio.pcm import SPEECH_RATE_HZ, duration_s
from app.fake import FakeConfig


class FakeAnalysis:
    """Finds in every utterance its length and nothing else."""

    @dataclass(frozen=True)
    class Config(FakeConfig):
        """When and how it fails."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> None:
        """Nothing to load."""

    def analyse(self, pcm16: bytes) -> Mapping[str, float | None]:
        """Return the scripted scores."""
        self._config.pause()
        self._config.fail_if_told("")
        return {"duration_s": duration_s(pcm16, SPEECH_RATE_HZ), "calm": None}

    def close(self) -> None:
        """Nothing to close."""
