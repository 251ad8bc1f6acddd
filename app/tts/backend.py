"""What a voice is, and which ones there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Speech:
    """A piece of spoken audio."""

    pcm16: bytes
    "Whole samples: an even number of bytes, never empty."
    sample_rate: int


class TtsBackend(Protocol):
    """Speaks one sentence at a time; calls may come from several threads when the stage's concurrency is above 1.

    A class whose engine has a fixed list of voices may name them in a class attribute `VOICES`: a configuration that
    asks for another one is then refused at start.
    """

    Config: type

    def load(self) -> None:
        """Make ready, in the worker process; raise BackendUnavailable when that is not possible here."""

    def synthesize(self, text: str, voice: str = "") -> Iterator[Speech]:
        """Yield the spoken text piece by piece, as it is made; one sample rate for all pieces.

        voice: one that the engine knows; empty for the configured one.  Raises BackendError.
        """

    def close(self) -> None:
        """Give back what `load` took."""


BACKENDS = {
    "flite": "app.tts.flite:FliteTts",
    "espeak": "app.tts.espeak:EspeakTts",
    "openai": "app.tts.openai:OpenAiTts",
    "fake": "app.tts.fake:FakeTts",
}
