"""What every embedded voice must do, checked on real engines."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, NamedTuple

import numpy as np

from app.errors import BackendRejected
from app.tts.backend import Speech, TtsBackend

SENTENCE = "The weather today is sunny with a light wind from the west."

ODD_TEXTS = (
    "", " ", "...", "!?", "-", "😀", "你好", "\0", "a\0b", "\ud800", "\x1b[31m", "%s%n", "<b>x</b>", "Café, 21 °C",
    "x" * 260, "$1,000,000.00", "[[h@l'oU]]",
)  # fmt: skip
"""Some can be said and some cannot; none may end the process."""


class Spoken(NamedTuple):
    """What was said."""

    samples: np.ndarray
    "int16."
    rate: int
    "In Hz."
    n_pieces: int


def speak(backend: TtsBackend, text: str, voice: str = "") -> Spoken:
    """Return what the voice says, having checked the pieces."""
    pieces = list(backend.synthesize(text, voice))
    assert all(piece.pcm16 and len(piece.pcm16) % 2 == 0 for piece in pieces)
    rates = {piece.sample_rate for piece in pieces}
    assert len(rates) == 1
    return Spoken(np.frombuffer(b"".join(piece.pcm16 for piece in pieces), "<i2"), rates.pop(), len(pieces))


def check_sentence(spoken: Spoken) -> None:
    """SENTENCE is heard, about as long as 12 words take, in several pieces, without being distorted."""
    samples, rate, n_pieces = spoken
    assert 2.0 < len(samples) / rate < 5.0
    assert np.sqrt((samples.astype(float) ** 2).mean()) > 500
    assert np.abs(samples.astype(int)).max() < 32_767
    assert n_pieces > 5


def check_silence_around(spoken: Spoken) -> None:
    """The first sound comes within 0.1 s, and a breath of silence follows the last."""
    samples, rate, _ = spoken
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 500)
    assert loud[0] / rate < 0.1
    assert 0.05 < (len(samples) - loud[-1]) / rate < 0.3


def check_threads(backend: TtsBackend) -> None:
    """Two callers at once both get their whole sentence."""
    lengths: list[int] = []

    def run() -> None:
        lengths.extend(len(speak(backend, SENTENCE).samples) for _ in range(2))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(lengths) == 4
    assert max(lengths) < 1.1 * min(lengths)


def check_early_close(backend: TtsBackend) -> None:
    """A caller that leaves after the first piece leaves the voice usable."""
    expected = len(speak(backend, SENTENCE).samples)
    for _ in range(3):
        speech: Any = backend.synthesize(SENTENCE * 50)
        assert isinstance(next(speech), Speech)
        speech.close()
    assert 0.9 * expected < len(speak(backend, SENTENCE).samples) < 1.1 * expected


def check_odd_text(backend: TtsBackend, text: str) -> None:
    """It is spoken, or, when no English word or number is in it, refused in words."""
    is_sayable = any(c.isascii() and c.isalnum() for c in text)
    with contextlib.nullcontext() if is_sayable else contextlib.suppress(BackendRejected):
        assert speak(backend, text).samples.any()
