"""What a voice analyser is, and which ones there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class AnalysisBackend(Protocol):
    """Analyses one utterance at a time; calls may come from several threads when the stage's concurrency is above 1."""

    Config: type

    def load(self) -> None:
        """Make ready, in the worker process; raise BackendUnavailable when that is not possible here."""

    def analyse(self, pcm16: bytes) -> Mapping[str, float | None]:
        """Return scores by name, with the unit in the name; None where one cannot be told.

        pcm16: the whole utterance, mono at SPEECH_RATE_HZ.  Raises BackendError.
        """

    def close(self) -> None:
        """Give back what `load` took."""


BACKENDS = {
    "prosody": "app.analysis.prosody:ProsodyAnalysis",
    "fake": "app.analysis.fake:FakeAnalysis",
}
