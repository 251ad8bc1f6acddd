"""The scores of an utterance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest

from app.analysis.prosody import ProsodyAnalysis
from app.audio.codecs import decode
from app.backends import build_config
from app.errors import ConfigError
from tests.analysis.test_pitch import make_vowel
from tests.speech import every_recording, read_recording

RATE_HZ = 16_000
NAMES = {
    "duration_s", "level_dbfs", "peak_dbfs", "pitch_hz", "pitch_range_semitones", "voiced_ratio", "speech_s",
    "syllables_per_s", "pause_count", "pause_total_s", "longest_pause_s",
}  # fmt: skip


def analyse(samples: np.ndarray) -> Mapping[str, float | None]:
    return analyse_pcm16(np.round(samples * 32_767).astype("<i2").tobytes())


def analyse_pcm16(pcm16: bytes) -> Mapping[str, float | None]:
    prosody = ProsodyAnalysis(ProsodyAnalysis.Config())
    prosody.load()
    scores = prosody.analyse(pcm16)
    prosody.close()
    assert set(scores) == NAMES
    assert all(value is None or np.isfinite(value) for value in scores.values())
    return scores


@cache
def analyse_recording(name: str) -> Mapping[str, float | None]:
    return analyse_pcm16(decode(read_recording(name)))


def median_pitch(*names: str) -> float:
    pitches = [analyse_recording(name)["pitch_hz"] for name in names]
    assert all(pitch is not None for pitch in pitches)
    return float(np.median([pitch for pitch in pitches if pitch is not None]))


def test_level_of_a_full_scale_sine() -> None:
    """A full-scale sine peaks at 0 dBFS and has a level of -3; its length is told to the sample."""
    scores = analyse(np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ))
    assert scores["level_dbfs"] == pytest.approx(-3.01, abs=0.02)
    assert scores["peak_dbfs"] == pytest.approx(0.0, abs=0.02)
    assert scores["duration_s"] == 1.0


def test_pitch_and_its_range() -> None:
    """The median pitch, and a range of zero for a monotone voice."""
    scores = analyse(make_vowel(150))
    assert scores["pitch_hz"] == pytest.approx(150, rel=0.01)
    assert scores["pitch_range_semitones"] == pytest.approx(0, abs=0.1)
    assert scores["voiced_ratio"] is not None
    assert scores["voiced_ratio"] > 0.9


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_pauses(noise: float) -> None:
    """Gaps are counted and measured; short ones are speech, and silence before and after is no pause."""
    vowel = make_vowel(120)
    parts = [np.zeros(8_000), vowel, np.zeros(8_000), vowel, np.zeros(1_600), vowel, np.zeros(16_000), vowel]
    sound = np.concatenate([*parts, np.zeros(12_000)])
    sound = sound + np.random.default_rng(4).normal(scale=noise, size=len(sound)) if noise else sound
    scores = analyse(sound)
    assert scores["pause_count"] == 2
    assert scores["pause_total_s"] == pytest.approx(1.5, abs=0.12)
    assert scores["longest_pause_s"] == pytest.approx(1.0, abs=0.07)
    assert scores["speech_s"] == pytest.approx(4.1, abs=0.2)


@pytest.mark.parametrize("per_second", [3, 5])
def test_syllables_of_a_babbler(per_second: int) -> None:
    """Vowels that swell and fade so many times a second are counted."""
    swell = 0.05 + 0.95 * np.sin(np.pi * per_second * np.arange(4 * RATE_HZ) / RATE_HZ) ** 2
    scores = analyse(np.tile(make_vowel(130), 4) * swell)
    assert scores["syllables_per_s"] == pytest.approx(per_second, rel=0.1)


@pytest.mark.parametrize("n_samples", [0, 1, 100, 16_000])
def test_silence(n_samples: int) -> None:
    """Of silence only the duration is known: all that needs a voice is None, never 0."""
    scores = analyse(np.zeros(n_samples))
    known = {name for name, value in scores.items() if value is not None}
    assert known == {"duration_s", "speech_s"}
    assert scores["speech_s"] == 0


def test_an_odd_byte_is_ignored() -> None:
    """Half a sample at the end does no harm."""
    assert analyse_pcm16(b"\0\0\1")["duration_s"] == 1 / RATE_HZ


def test_noise_has_no_voice() -> None:
    """Hiss has a level, but neither pitch nor syllables."""
    scores = analyse(np.random.default_rng(6).normal(scale=0.05, size=2 * RATE_HZ).clip(-1, 1))
    assert scores["level_dbfs"] == pytest.approx(-26, abs=0.5)
    assert scores["pitch_hz"] is None
    assert scores["syllables_per_s"] is None


def test_a_long_utterance() -> None:
    """What is measured in several parts is measured as a short utterance is."""
    scores = analyse(np.tile(make_vowel(110), 12))
    assert scores["duration_s"] == 12.0
    assert scores["pitch_hz"] == pytest.approx(110, rel=0.01)


@pytest.mark.parametrize("row", every_recording("speech", quick_s=4))
def test_real_speech(row: dict[str, str]) -> None:
    """Every recorded sentence has a human pitch and pace."""
    scores = analyse_recording(row["file"])
    assert 70 < (scores["pitch_hz"] or 0) < 350
    assert 1.5 < (scores["syllables_per_s"] or 0) < 8
    assert 0.2 < (scores["voiced_ratio"] or 0) <= 1
    assert 0 < (scores["speech_s"] or 0) <= (scores["duration_s"] or 0) + 0.01


def test_a_woman_and_a_man_differ() -> None:
    """The reader of LJ Speech, a woman, speaks at least a quarter of an octave higher than the man of LibriVox."""
    woman = median_pitch("lj_001-0002.wav", "lj_001-0004.wav")
    man = median_pitch("librivox_0880.wav", "librivox_0930.wav")
    assert woman > 170 > 140 > man


@pytest.mark.parametrize("settings", [{"min_pitch_hz": 10}, {"min_pitch_hz": 300, "max_pitch_hz": 200}])
def test_bad_settings(settings: dict[str, object]) -> None:
    """A range that makes no sense is refused at start, with what is allowed."""
    with pytest.raises(ConfigError, match="40 to 800"):
        build_config(ProsodyAnalysis.Config, settings, "analysis.prosody")
