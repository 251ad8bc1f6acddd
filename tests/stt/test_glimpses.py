"""An unfinished utterance is looked at with decoders that few have, and nobody waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from app.audio.pcm import SPEECH_RATE_HZ
from app.stt.glimpses import ArrivalPace, Glimpser

SECOND = bytes(2 * SPEECH_RATE_HZ)


@dataclass
class Clock:
    """A time that tests move."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class CountingDecoder:
    """Hears one word for each byte."""

    on_process: Callable[[], None] = lambda: None
    heard: list[bytes] = field(default_factory=list)
    n_open: int = 0

    def reinit_feat(self) -> None:
        assert self.n_open == 0

    def get_cmn(self) -> str:
        return "40,3"

    def set_cmn(self, cepstral_mean: str) -> None:
        assert cepstral_mean == "40,3"

    def start_utt(self) -> None:
        self.n_open += 1
        self.heard.clear()
        assert self.n_open == 1

    def process_raw(self, pcm16: bytes, full_utt: bool = False) -> None:
        self.heard.append(pcm16)
        if not full_utt:
            self.on_process()

    def end_utt(self) -> None:
        self.n_open -= 1

    def hyp(self) -> SimpleNamespace:
        return SimpleNamespace(hypstr=" ".join("<sil>" + chr(byte) for byte in b"".join(self.heard)).replace(">", "> "))


def test_each_look_takes_the_new_sound_only() -> None:
    """What was decoded once is not decoded again; a new piece begins anew."""
    decoder = CountingDecoder()
    glimpser = Glimpser(deque([decoder]), Clock())
    assert [glimpser.look(pcm16) for pcm16 in (b"a", b"abc", b"abcd")] == ["a", "a b c", "a b c d"]
    assert decoder.heard == [b"a", b"bc", b"d"]
    glimpser.end()
    assert glimpser.look(b"xy") == "x y"
    assert glimpser.look(b"z") == "z"


def test_a_decoder_is_lent_to_one_utterance() -> None:
    """Who finds none free sees nothing until one is given back, whoever takes it then."""
    free: deque[CountingDecoder] = deque([CountingDecoder()])
    first, second = Glimpser(free, Clock()), Glimpser(free, Clock())
    assert (first.look(b"a"), second.look(b"a")) == ("a", None)
    first.end()
    first.end()
    assert (second.look(b"ab"), first.look(b"ab")) == ("a b", None)
    second.end()
    assert (len(free), free[0].n_open) == (1, 0)


def test_a_busy_machine_is_left_alone() -> None:
    """After a slow look there is none in this utterance; the decoder is free for others."""
    clock = Clock()

    def take_long() -> None:
        clock.now_s += 0.3

    free: deque[CountingDecoder] = deque([CountingDecoder(take_long)])
    glimpser = Glimpser(free, clock)
    assert (glimpser.look(b"a"), glimpser.look(b"ab")) == ("a", None)
    assert len(free) == 1


@pytest.mark.parametrize(
    ("arrivals", "is_live"),
    [
        ([(0.0, 1.0)], False),
        ([(0.0, 30.0)], False),
        ([(0.0, 0.4), (0.2, 0.2)], False),
        ([(0.0, 0.4), (0.2, 0.2), (0.2, 0.2)], True),
        ([(0.0, 0.5), (0.5, 0.5)], True),
        ([(0.0, 0.0), (5.0, 0.1)], True),
    ],
)
def test_pace(arrivals: list[tuple[float, float]], is_live: bool) -> None:
    """Speech that comes about as fast as it is spoken is live; a recording is there at once."""
    clock = Clock()
    pace = ArrivalPace(clock)
    for waited_s, speech_s in arrivals:
        clock.now_s += waited_s
        list(pace.count([SECOND[: round(speech_s * SPEECH_RATE_HZ) * 2]]))
    assert pace.is_live() is is_live
