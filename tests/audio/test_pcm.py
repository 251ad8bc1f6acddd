"""PCM16 and its measures."""

import math

import numpy as np
import pytest

from app.audio.pcm import duration_s, from_samples, is_silent, level_dbfs, to_samples, tone


def make_noise(rms_dbfs: float, length_s: float = 1.0, sample_rate: int = 16_000) -> np.ndarray:
    """Return white noise of a level; the seed is fixed."""
    noise = np.random.default_rng(7).normal(0, 1, round(length_s * sample_rate))
    return noise * 10 ** (rms_dbfs / 20)


def test_duration_counts_samples() -> None:
    """One second is as many samples as the rate says."""
    assert duration_s(bytes(2 * 22_050), 22_050) == 1.0


def test_samples_survive_the_way_to_floats_and_back() -> None:
    """Every 16-bit value comes back unchanged."""
    every = np.arange(-32_768, 32_768).astype("<i2").tobytes()
    assert from_samples(to_samples(every)) == every


def test_samples_are_in_unit_range() -> None:
    """The loudest negative value is exactly -1."""
    assert to_samples(b"\x00\x80\x00\x40").tolist() == [-1.0, 0.5]


def test_an_odd_last_byte_is_dropped() -> None:
    """Half a sample is no sample."""
    assert len(to_samples(bytes(5))) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_does_not_fit_is_clipped(dtype: type) -> None:
    """Values beyond full scale become full scale, values that are no number become silence."""
    wild = np.array([1.0, 2.5, -3.0, math.inf, -math.inf, math.nan, np.finfo(dtype).max], dtype)
    words = np.frombuffer(from_samples(wild), "<i2").tolist()
    assert words == [32_767, 32_767, -32_768, 32_767, -32_768, 0, 32_767]


def test_level_of_known_signals() -> None:
    """A full square wave is 0 dBFS, half of it -6, nothing minus infinity."""
    assert level_dbfs(np.full(100, -32_768, "<i2").tobytes()) == 0
    assert level_dbfs(np.full(100, 16_384, "<i2").tobytes()) == pytest.approx(-6.02, abs=0.01)
    assert level_dbfs(bytes(200)) == -math.inf
    assert level_dbfs(b"") == -math.inf


@pytest.mark.parametrize("pcm16", [b"", b"\x00", bytes(32_000), from_samples(make_noise(-65))])
def test_nothing_and_hiss_are_silent(pcm16: bytes) -> None:
    """Empty, digital silence and the hiss of a microphone are silent."""
    assert is_silent(pcm16, 16_000)


def test_a_constant_offset_is_silent() -> None:
    """A converter that lifts the signal does not make it sound."""
    assert is_silent(from_samples(make_noise(-70) + 0.1), 16_000)


@pytest.mark.parametrize("at_s", [0.0, 0.503, 0.985])
def test_one_short_sound_anywhere_is_not_silent(at_s: float) -> None:
    """15 ms of a quiet sound are heard at the start, between two windows and at the very end."""
    samples = make_noise(-70)
    start = round(at_s * 16_000)
    samples[start : start + 240] += make_noise(-45, 0.015)[: len(samples) - start]
    assert not is_silent(from_samples(samples), 16_000)


def test_silence_is_what_the_threshold_says() -> None:
    """The threshold is a parameter."""
    hiss = from_samples(make_noise(-50))
    assert not is_silent(hiss, 16_000)
    assert is_silent(hiss, 16_000, threshold_dbfs=-45)


def test_a_tone_fades_in_and_out() -> None:
    """A signal has the length and peak it was asked for and starts and ends near zero."""
    samples = to_samples(tone(440, 0.2, 16_000, peak_dbfs=-6))
    assert len(samples) == 3_200
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(samples[[0, 1, -1]]).max() < 0.001


def test_a_tone_may_be_shorter_than_its_fades() -> None:
    """Even a few samples, or none, can be asked for."""
    assert len(tone(440, 0.001)) == 32
    assert tone(440, 0) == b""
