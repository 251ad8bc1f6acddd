"""Whether a microphone hears what a loudspeaker plays."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio.likeness import likeness
from app.audio.pcm import from_samples
from tests.speech import speech_dir

RATE_HZ = 16_000
RANDOM = np.random.default_rng(7)
SPEECH = speech_dir()


def hiss(seconds: float) -> NDArray[np.float64]:
    return RANDOM.normal(0, 0.1, round(seconds * RATE_HZ))


def room(samples: NDArray[np.float64], direct_db: float) -> NDArray[np.float64]:
    """Let a sound be heard in a room with 0.4 s of reverberation, so much louder than that."""
    tail = RANDOM.normal(size=4800) * np.exp(-6.9 * np.arange(4800) / (0.4 * RATE_HZ))
    tail[0] = 0
    tail *= np.sqrt(10 ** (-direct_db / 10) / (tail @ tail))
    tail[0] = 1
    return np.convolve(samples, tail)[: len(samples)]


def test_a_part_is_like_the_whole() -> None:
    """However loud, with either sign, and wherever it stands."""
    played = hiss(1.5)
    for start, gain in ((0, 1.0), (4000, 0.02), (19_900, -0.5)):
        assert likeness(from_samples(played[start : start + 4000] * gain), from_samples(played)) > 0.95


def test_other_sound_is_not_like_it() -> None:
    """Noise is not like other noise."""
    assert likeness(from_samples(hiss(0.25)), from_samples(hiss(1.5))) < 0.2


@pytest.mark.parametrize("n_heard", [0, 1, 2, 4000])
def test_silence_is_like_nothing(n_heard: int) -> None:
    """Neither heard nor played, nor when nothing was."""
    assert likeness(bytes(2 * n_heard), from_samples(hiss(1.0))) == 0
    assert likeness(from_samples(hiss(0.25))[: 2 * n_heard], bytes(32_000)) == 0
    assert likeness(from_samples(hiss(0.25)), b"") == 0


@pytest.mark.skipif(SPEECH is None, reason="no recordings of people beside the project")
def test_people_and_echoes_are_told_apart() -> None:
    """In a room the reply's own sound is far more alike than anybody else's voice."""
    assert SPEECH is not None
    voices = [read(SPEECH / f"{name}.wav") for name in ("librivox_0880", "cards_001", "librivox_0870", "goforward")]
    loud = [voice[max(0, at - 20_000) : at + 4096] for voice in voices if (at := loudest(voice)) >= 0]
    for n, played in enumerate(loud):
        echo = room(played, 3)[-4096:]
        assert likeness(from_samples(echo), from_samples(played)) > 0.5
        for other in loud[:n] + loud[n + 1 :]:
            assert likeness(from_samples(other[-4096:]), from_samples(played)) < 0.4


def read(path: object) -> NDArray[np.float64]:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768


def loudest(samples: NDArray[np.float64]) -> int:
    """Return where the loudest quarter of a second begins."""
    return int(np.argmax(np.convolve(samples**2, np.ones(4096), "valid")))
