"""Silence is cut away and long speech is cut at its pauses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from app.stt.speech_pieces import WINDOW_BYTES, WINDOW_S, cut_speech, follow_speech, is_steady

NOISE = np.random.default_rng(1).normal(0, 1, WINDOW_BYTES // 2)


def window(is_voiced: bool, level: float = 3000) -> bytes:
    return (NOISE * (level if is_voiced else 3)).astype("<i2").tobytes()


def is_loud(pcm16: bytes) -> bool:
    return bool(np.frombuffer(pcm16, "<i2").std() > 100)


def talk(*seconds: float) -> bytes:
    """Return silence, voice, silence, ... of these lengths."""
    is_voiced = [bool(i % 2) for i, length_s in enumerate(seconds) for _ in range(round(length_s / WINDOW_S))]
    return b"".join(window(voiced, level=1000 + 4000 * (n % 2)) for n, voiced in enumerate(is_voiced))


def lengths_s(pcm16: bytes) -> list[float]:
    return [len(piece) / WINDOW_BYTES * WINDOW_S for piece in cut_speech([pcm16], is_loud)]


def test_silence_around_speech_is_cut() -> None:
    """0.3 s stay on each side, which the recogniser needs."""
    assert lengths_s(talk(3.0, 1.5, 3.0)) == [pytest.approx(2.1)]


def test_speech_without_silence_stays_whole() -> None:
    """Nothing is cut from speech that fills the recording."""
    assert lengths_s(talk(0.0, 1.5)) == [pytest.approx(1.5)]


def test_a_pause_does_not_cut_a_command() -> None:
    """Up to six seconds belong together, whatever pauses are in them."""
    assert lengths_s(talk(0.6, 1.5, 2.1, 1.2, 0.6)) == [pytest.approx(5.4)]


def test_long_speech_is_cut_at_pauses() -> None:
    """After six seconds the next pause ends a piece, before the rest has arrived."""
    assert lengths_s(talk(0.6, 6.3, 0.6, 6.3, 0.6, 1.5)) == [pytest.approx(t, abs=0.31) for t in (6.9, 6.9, 2.1)]


def test_speech_without_pauses_is_cut_anyway() -> None:
    """No piece is longer than twelve seconds and its margins, and nothing is lost."""
    pcm16 = talk(0.0, 30.0)
    pieces = list(cut_speech([pcm16], is_loud))
    assert b"".join(pieces) == pcm16
    assert max(len(piece) for piece in pieces) / WINDOW_BYTES * WINDOW_S < 12.7


@pytest.mark.parametrize("pcm16", [b"", b"\0", b"\0" * 7, talk(2.0), talk(0.9, 0.09, 0.9)])
def test_silence_and_clicks_give_nothing(pcm16: bytes) -> None:
    """What is no speech gives no piece."""
    assert lengths_s(pcm16) == []


@pytest.mark.parametrize("cut_every", [1, 7, 960, 5000])
def test_chunks_may_have_any_length(cut_every: int) -> None:
    """How the speech was sent does not matter."""
    pcm16 = talk(0.6, 1.2, 0.6)
    bounds = [*range(0, len(pcm16), cut_every), len(pcm16)]
    chunks = [pcm16[start:end] for start, end in pairwise(bounds)]
    assert list(cut_speech(chunks, is_loud)) == list(cut_speech([pcm16], is_loud))


def test_hiss_is_no_speech() -> None:
    """Loud noise of one level is nothing said, even where the detector takes it for voice."""
    assert list(cut_speech([window(True) * 100], lambda pcm16: True)) == []
    assert is_steady([window(True) for _ in range(100)])
    assert not is_steady([window(bool(i % 3)) for i in range(100)])


def test_a_piece_can_be_seen_while_it_grows() -> None:
    """Each look shows more of one piece, none comes without new voice, and the whole is what it is anyway."""
    pcm16 = talk(0.6, 2.1, 0.6, 0.9, 3.0)
    *looks, whole = follow_speech([pcm16], is_loud, 0.18, look_every_s=0.45)
    assert [whole.pcm16] == list(cut_speech([pcm16], is_loud))
    assert (whole.is_over, any(look.is_over for look in looks)) == (True, False)
    assert all(later.pcm16.startswith(look.pcm16) for look, later in pairwise([*looks, whole]))
    assert len(looks) == 8


def test_nobody_looks_at_silence() -> None:
    """Sound without speech is not shown."""
    assert list(follow_speech([talk(5.0)], is_loud, 0.18, look_every_s=0.3)) == []
