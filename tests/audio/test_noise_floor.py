"""The noise of rooms, as floors that follow it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio.noise_floor import LOWEST_DBFS, MARGIN_DB, follow, stand_out
from app.audio.pcm import SILENCE_DBFS
from app.audio.windows import WINDOW_MS

WINDOWS_PER_S = 1000 / WINDOW_MS


def hear(levels_dbfs: list[float], floor_dbfs: float = LOWEST_DBFS, may_rise: bool = True) -> tuple[float, list[bool]]:
    """Return the floor of one microphone after windows of these levels, and which of them stood out."""
    floor, stood_out = one(floor_dbfs), []
    for level in levels_dbfs:
        stood_out.append(bool(stand_out(floor, one(level))[0]))
        floor = follow(floor, one(level), np.array([may_rise]))
    return float(floor[0]), stood_out


def one(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)


def test_what_is_not_silent_stands_out_in_an_unknown_room() -> None:
    """A microphone that is opened in the middle of a word hears it."""
    assert hear([SILENCE_DBFS + 0.1])[1] == [True]
    assert hear([SILENCE_DBFS - 0.1])[1] == [False]


@pytest.mark.parametrize("room_dbfs", [-55, -40, -20])
def test_a_steady_room_becomes_the_floor(room_dbfs: float) -> None:
    """Whatever runs all the time stands out no more after some seconds."""
    floor, stood_out = hear([room_dbfs] * round(10 * WINDOWS_PER_S))
    assert floor == pytest.approx(room_dbfs, abs=0.1)
    assert not stood_out[-1]


def test_a_syllable_does_not_hide_in_the_floor() -> None:
    """Half a second of a voice little louder than the room stands out to its end."""
    assert all(hear([-40] * round(WINDOWS_PER_S / 2), floor_dbfs=-46)[1])


def test_speech_does_not_raise_the_floor() -> None:
    """However long somebody speaks without a pause."""
    assert hear([-20] * 1000, floor_dbfs=-50, may_rise=False)[0] == -50


def test_a_pause_pulls_the_floor_down() -> None:
    """When a fan stops, the quiet voice that it hid stands out within a quarter of a second."""
    floor, _ = hear([-50] * round(WINDOWS_PER_S / 4), floor_dbfs=-30)
    assert floor + MARGIN_DB < -45


def test_silence_has_a_floor() -> None:
    """Digital silence does not pull the floor below the lowest."""
    assert hear([-120] * 100)[0] == pytest.approx(LOWEST_DBFS)


def test_each_microphone_has_its_own_floor() -> None:
    """One loud room raises no other's floor."""
    floors = follow(np.array([-50, -50], np.float32), np.array([-20, -50], np.float32), np.array([True, True]))
    assert floors[0] > floors[1] == -50
