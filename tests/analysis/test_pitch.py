"""Pitch of known periods is found."""

from __future__ import annotations

import numpy as np
import pytest

from app.analysis.pitch import HOP_S, track_pitch

RATE_HZ = 16_000


def make_sine(pitch_hz: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(RATE_HZ) / RATE_HZ)


def make_pulses(pitch_hz: float) -> np.ndarray:
    return 0.8 * np.diff(np.floor(np.arange(RATE_HZ) * pitch_hz / RATE_HZ), prepend=0)


def make_vowel(pitch_hz: float) -> np.ndarray:
    """Pulses through two resonances, as in an open vowel."""
    sound = make_pulses(pitch_hz)
    time_s = np.arange(1_024) / RATE_HZ
    for formant_hz, bandwidth_hz in ((700, 100), (1_200, 150)):
        response = np.exp(-np.pi * bandwidth_hz * time_s) * np.sin(2 * np.pi * formant_hz * time_s)
        sound = np.convolve(sound, response)[:RATE_HZ]
    return 0.3 * sound / np.abs(sound).max()


def track(sound: np.ndarray) -> np.ndarray:
    return track_pitch(sound.astype(np.float32), RATE_HZ, min_hz=65, max_hz=500, max_aperiodicity=0.45)


@pytest.mark.parametrize("pitch_hz", [80, 120, 180, 240, 310, 400])
@pytest.mark.parametrize("make_sound", [make_sine, make_pulses, make_vowel])
@pytest.mark.parametrize("noise_db", [None, -10])
def test_known_pitch(make_sound, pitch_hz: float, noise_db: float | None) -> None:  # type: ignore[no-untyped-def]
    """The pitch is right within 3 % in nearly every frame, an octave off in none or almost none, also in noise."""
    sound = make_sound(pitch_hz)
    if noise_db is not None:
        power = (sound**2).mean() * 10 ** (noise_db / 10)
        sound = sound + np.random.default_rng(3).normal(scale=np.sqrt(power), size=len(sound))
    pitches = track(sound)
    voiced = pitches[~np.isnan(pitches)]
    assert len(voiced) > 0.9 * len(pitches)
    assert np.median(voiced) == pytest.approx(pitch_hz, rel=0.01)
    assert np.mean(np.abs(voiced / pitch_hz - 1) > 0.03) < 0.05


def test_a_glide_is_followed() -> None:
    """Each entry is the pitch at its own time."""
    wanted = np.linspace(120, 240, RATE_HZ)
    pitches = track(0.3 * np.sin(2 * np.pi * np.cumsum(wanted) / RATE_HZ))
    middles = ((np.arange(len(pitches)) + 0.5) * HOP_S * RATE_HZ).astype(int)
    inner = slice(5, -5)
    np.testing.assert_allclose(pitches[inner], wanted[middles][inner], rtol=0.03)


@pytest.mark.parametrize("pitch_hz", [40, 700])
def test_out_of_range(pitch_hz: float) -> None:
    """A tone outside the range has no pitch, or one of the range."""
    pitches = track(make_sine(pitch_hz))
    voiced = pitches[~np.isnan(pitches)]
    assert np.all((voiced >= 65) & (voiced <= 500))


def test_noise_has_no_pitch() -> None:
    """White noise is unvoiced."""
    pitches = track(np.random.default_rng(5).normal(scale=0.1, size=3 * RATE_HZ))
    assert np.mean(~np.isnan(pitches)) < 0.02


@pytest.mark.parametrize("n_samples", [0, 1, 7, 159, 160, 161, 1_000])
def test_short_sounds(n_samples: int) -> None:
    """One entry per 10 ms that has begun, and no pitch where there is too little to hear."""
    pitches = track(np.zeros(n_samples))
    assert len(pitches) == -(-n_samples // 160)
    assert np.isnan(pitches).all()
