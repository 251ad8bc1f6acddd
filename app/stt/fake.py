"""A scripted recogniser for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.audio.pcm import SPEECH_RATE_HZ, duration_s
from app.fake import FakeConfig
from app.stt.backend import Hypothesis


class FakeStt:
    """Hears in every utterance the same words, filled in with what tells utterances apart."""

    @dataclass(frozen=True)
    class Config(FakeConfig):
        """What it hears, when and how it fails."""

        text: str = "utterance {first}"
        "The transcript; {first} is the first sample that is not zero, {seconds} the whole seconds of speech."
        partials: bool = False
        "Give partial hypotheses, at least one for each chunk: one word more for each 0.1 s of speech."
        silent_below_s: float = 0.0
        "A shorter utterance has no words, as a cough, in seconds."

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> None:
        """Nothing to load."""

    def transcribe(self, chunks: Iterable[bytes]) -> Iterator[Hypothesis]:
        """Yield the scripted transcript."""
        speech, n_told = bytearray(), 0
        for chunk in chunks:
            speech += chunk
            if self._config.partials:
                n_words = 1 + int(10 * duration_s(bytes(speech), SPEECH_RATE_HZ))
                for n in range(min(n_told + 1, n_words), n_words + 1):
                    yield Hypothesis(" ".join(self._text(speech).split()[:n]), is_final=False)
                n_told = n_words
        self._config.pause()
        text = self._text(speech)
        if not text:
            yield Hypothesis("", is_final=True)
            return
        self._config.fail_if_told(text)
        yield Hypothesis(text, is_final=True, language="en")

    def close(self) -> None:
        """Nothing to close."""

    def _text(self, speech: bytearray) -> str:
        """Return what all of this speech says; nothing for silence and coughs."""
        length_s = duration_s(bytes(speech), SPEECH_RATE_HZ)
        first = next((sample for sample in memoryview(bytes(speech)).cast("h") if sample), None)
        if first is None or length_s < self._config.silent_below_s:
            return ""
        return self._config.text.format(first=first, seconds=int(length_s))
