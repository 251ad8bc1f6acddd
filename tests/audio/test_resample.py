"""Sample rates."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.pcm import from_samples, level_dbfs, to_samples, tone
from app.audio.resample import StreamResampler, resample

RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]


@pytest.mark.parametrize("from_hz", RATES)
@pytest.mark.parametrize("to_hz", [8_000, 16_000, 24_000, 48_000])
def test_a_tone_keeps_length_and_level(from_hz: int, to_hz: int) -> None:
    """Two fifths of a second stay as long and as loud as before."""
    before = tone(1_000, 0.4, from_hz)
    after = resample(before, from_hz, to_hz)
    assert len(after) == 2 * round(0.4 * to_hz)
    assert level_dbfs(after) == pytest.approx(level_dbfs(before), abs=0.1)


def test_what_the_new_rate_cannot_carry_is_removed() -> None:
    """A 10 kHz tone leaves no mirror image at 16 kHz."""
    after = to_samples(resample(tone(10_000, 0.5, 48_000), 48_000, 16_000))
    assert level_dbfs(from_samples(after[400:-400])) < -85


def test_equal_rates_change_nothing_and_load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio of the right rate passes untouched, without the resampling library."""
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert resample(b"\x01\x02", 16_000, 16_000) == b"\x01\x02"
    with pytest.raises(ImportError):
        resample(b"\x01\x02", 16_000, 8_000)


def test_silence_stays_digital_silence() -> None:
    """No dither is added."""
    assert not any(resample(bytes(2_000), 44_100, 16_000))


@given(st.sampled_from(RATES), st.integers(0, 3_000), st.lists(st.integers(0, 3_000), max_size=6))
def test_chunks_do_not_change_the_result(from_hz: int, n_samples: int, cuts: list[int]) -> None:
    """However the audio is cut, the same bytes come out as in one piece."""
    pcm16 = np.random.default_rng(3).integers(-9_000, 9_000, n_samples).astype("<i2").tobytes()
    edges = [0, *sorted(2 * min(cut, n_samples) for cut in cuts), len(pcm16)]
    resampler = StreamResampler(from_hz, 16_000)
    pieces = [resampler.feed(pcm16[a:b]) for a, b in pairwise(edges)]
    assert b"".join([*pieces, resampler.flush()]) == resample(pcm16, from_hz, 16_000)


def test_a_stream_gives_sound_before_it_ends() -> None:
    """Of 200 ms fed in 20 ms chunks, most is out before the flush."""
    resampler = StreamResampler(48_000, 16_000)
    n_bytes = sum(len(resampler.feed(bytes(1_920))) for _ in range(10))
    assert n_bytes > 0.8 * 6_400
