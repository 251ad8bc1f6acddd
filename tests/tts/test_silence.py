"""The silence around a sentence, cut as the audio arrives."""

from __future__ import annotations

import numpy as np
import pytest

from app.tts.silence import SilenceTrimmer

RATE_HZ = 16_000


def make_pcm16(*parts: tuple[float, int]) -> bytes:
    """Noise of (duration_s, amplitude) one after the other."""
    random = np.random.default_rng(7)
    return b"".join(
        random.integers(-amplitude, amplitude + 1, round(duration_s * RATE_HZ)).astype("<i2").tobytes()
        for duration_s, amplitude in parts
    )


def trim(pcm16: bytes, chunk_bytes: int) -> bytes:
    trimmer = SilenceTrimmer(RATE_HZ)
    chunks = [pcm16[i : i + chunk_bytes] for i in range(0, len(pcm16), chunk_bytes)]
    return b"".join([trimmer.feed(chunk) for chunk in chunks]) + trimmer.finish()


@pytest.mark.parametrize("chunk_bytes", [30, 320, 3_200, 1_000_000])
def test_silence_around_is_cut_to_a_known_length(chunk_bytes: int) -> None:
    """60 ms stay before and 120 ms after, whatever the length of the chunks."""
    trimmed = trim(make_pcm16((0.3, 20), (0.5, 8_000), (0.4, 20)), chunk_bytes)
    assert len(trimmed) / 2 / RATE_HZ == pytest.approx(0.06 + 0.5 + 0.12, abs=0.011)


def test_pauses_inside_are_kept() -> None:
    """A pause between words belongs to the sentence."""
    trimmed = trim(make_pcm16((0.5, 8_000), (0.7, 0), (0.5, 8_000)), 640)
    assert len(trimmed) / 2 / RATE_HZ == pytest.approx(1.7 + 0.12, abs=0.011)


def test_an_abrupt_end_gets_a_breath() -> None:
    """A sentence that stops at its last sound is followed by silence, so that the next does not run into it."""
    trimmed = trim(make_pcm16((0.5, 8_000)), 640)
    assert len(trimmed) / 2 / RATE_HZ == pytest.approx(0.62, abs=0.011)
    assert not any(trimmed[-3_200:])


@pytest.mark.parametrize("duration_s", [0.0, 0.001, 2.0])
def test_mere_silence_gives_nothing(duration_s: float) -> None:
    """Nothing is made up when nothing was said."""
    assert trim(make_pcm16((duration_s, 20)), 640) == b""
