"""What a speech recogniser is, and which ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the recogniser believes was said so far."""

    text: str
    is_final: bool
    language: str = ""
    "BCP 47 tag when the recogniser says one."


class SttBackend(Protocol):
    """Recognises one utterance per call; calls come from several threads when the stage's concurrency is above 1."""

    Config: type

    def load(self) -> None:
        """Make ready, in the worker process; raise BackendUnavailable when that is not possible here."""

    def transcribe(self, chunks: Iterable[bytes]) -> Iterator[Hypothesis]:
        """Yield partial hypotheses and at last one final.

        chunks: PCM16 mono at SPEECH_RATE_HZ, any length, as they arrive; the iterator ends when the speech does.
        A final hypothesis with empty text says that nothing was spoken.  Raises BackendError.
        """

    def close(self) -> None:
        """Give back what `load` took."""


BACKENDS = {
    "pocketsphinx": "app.stt.pocketsphinx:PocketsphinxStt",
    "openai": "app.stt.openai:OpenAiStt",
    "fake": "app.stt.fake:FakeStt",
}
