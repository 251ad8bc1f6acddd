"""A listener that is behind or fails, settings that change, files and logs that are not what they should be."""

from __future__ import annotations

import io
import logging
import os
import time
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clients.device.__main__ import open_log
from clients.device.files import WavMicrophone
from clients.device.heartbeat import Heartbeat
from clients.device.portaudio import AudioTrouble, quiet
from clients.device.runner import _change
from clients.device.steps import ButtonPressed
from clients.device.wake import ScriptedEngine, load_engines
from clients.service import Trouble
from tests.clients.device.scenes import (
    WHISTLE,
    Faulty,
    answering,
    as_json,
    noise,
    settings,
    wait_until,
    windows_of,
)
from tests.clients.device.test_device_network import Down
from tests.clients.device.test_origin_bugs import ROOM, WORD, Room

# ---- the listener ----------------------------------------------------------------------------------------------------


def test_time_passes_also_when_the_listener_is_behind() -> None:
    """A machine that is just too slow for its sound still notices that no answer comes."""
    room = Room()
    machine = room.device.machine
    machine._is_asked, machine._patience_until_s = True, 0.0
    windows = iter(windows_of(noise(60.0)))
    take = room.device.inbox.take_chunk

    def take_and_fall_behind() -> Any:
        if (window := next(windows, None)) is not None:
            room.device.hear(window)
            room.device._ticked_s -= 0.08
        else:
            assert machine.state == "listening"
        return take()

    room.device.inbox.take_chunk = take_and_fall_behind  # type: ignore[method-assign]
    room.device.listen()


def test_old_sound_is_not_heard_as_the_new_microphone() -> None:
    """What still waits when a microphone of another form is opened belongs to the old one."""
    room = Room()
    room.hear(ROOM)
    for window in windows_of(ROOM):
        room.device.hear(window)
    room.device.microphone_opened(SimpleNamespace(sample_rate=48_000, channels=2), 0.0)  # type: ignore[arg-type]
    room.device.listen()
    assert room.device.ear.ring.read_last(10.0) == b""


def test_two_changes_at_once_leave_an_engine_that_hears() -> None:
    """Also when the listener comes to neither of them in between."""
    room = Room(wake={"models": [{**WHISTLE, "path": "1000"}]})
    closed = []
    for volume in (1.0, 0.5):
        room.device.change(settings({"speaker": {"volume": volume}}))
    for engine in (*room.device._engines, *room.device._guards):
        engine.close = lambda engine=engine: closed.append(engine)  # type: ignore[method-assign,misc]
    room.device.listen()
    assert not set(map(id, closed)) & set(map(id, room.device._engines))
    assert room.hear(ROOM, WORD) == ["woken"]


def test_a_model_without_a_name_is_told() -> None:
    """The service wants one for each, and would take no heartbeat."""
    with pytest.raises(Trouble, match="name"):
        load_engines(settings({"wake": {"models": [{**WHISTLE, "name": ""}]}}).wake.models)


def test_a_fault_in_every_window_is_not_told_in_every_window(caplog: pytest.LogCaptureFixture) -> None:
    """The log of a device is on its memory card."""
    room = Room()
    room.device.ear.feed = Faulty(None)  # type: ignore[method-assign]
    room.device.ear.feed.then = []
    for window in windows_of(ROOM):
        room.device.hear(window)
        room.device.ear.feed.n_calls = 0
        room.device.try_to_listen()
    assert len([record for record in caplog.records if "fault" in record.message]) == 1


def test_a_listener_that_hangs_is_not_said_to_live() -> None:
    """So that systemd starts the device again."""
    room = Room()
    room.hear(ROOM)
    assert room.device.is_alive(time.monotonic())
    assert not room.device.is_alive(time.monotonic() + 31)


# ---- settings --------------------------------------------------------------------------------------------------------


class Running:
    """What the runner has, without streams."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **tree: Any) -> None:
        self.device = Room(**tree).device
        self.streams: Any = SimpleNamespace(change=lambda _old, _new: None)

    def change(self, **tree: Any) -> None:
        source: Any = SimpleNamespace(load=lambda: settings(tree))
        _change(self.device, self.streams, source)


def test_the_log_level_changes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a restart, as all other settings do."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", root.level)
    Running(monkeypatch).change(log_level="debug")
    assert root.level == logging.DEBUG


def test_the_enter_key_works_when_it_is_asked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode is a setting like others."""
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    running = Running(monkeypatch)
    running.change(mode="push_to_talk")
    wait_until(lambda: ButtonPressed() in running.device.inbox._events, "the key")
    running.device.listen()
    assert running.device.machine.state == "recording"


def test_new_settings_are_tried_at_once() -> None:
    """A heartbeat that waits for minutes, because the old address was wrong, does not go on waiting."""
    with answering(lambda *_: as_json(200, {"status": "ok"})) as server:
        beat = Heartbeat(settings(), lambda _now: {}, lambda _line: None)
        for _ in range(8):
            beat._backoff.failed()
        assert beat.beat() > 200
        beat.wake = Faulty(None)  # type: ignore[method-assign]
        beat.wake.n_calls = 1
        beat.configure(settings(url=server.url))
        assert beat.wake.n_calls == 2
        assert beat.beat() == 30
    down = Down(server)
    assert [down.replies.work() for _ in range(3)] == [0.5, 1, 2]
    down.replies.configure(settings())
    assert down.replies.work() == 0.5


def test_an_engine_that_does_not_load_leaves_the_old_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its library may want a newer system: that is a line, and no end of the device."""
    running = Running(monkeypatch)
    monkeypatch.setattr(ScriptedEngine, "load", Faulty(None))
    running.change(wake={"models": [{**WHISTLE, "path": "1000"}]})
    assert "the wake word engine scripted cannot be loaded (a fault of ours)" in caplog.text
    assert running.device.settings.wake.models[0].path == "2000"


@pytest.mark.parametrize("rate", [1, 300_000])
def test_a_file_of_an_impossible_rate_is_told(rate: int, tmp_path: Path) -> None:
    """Instead of being heard for ever."""
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(100))
    with pytest.raises(AudioTrouble, match=f"{rate} Hz"):
        WavMicrophone(tmp_path / "a.wav", lambda _chunk, _gap: None, None, 1.0)


def test_what_is_told_is_seen_while_portaudio_starts(capfd: pytest.CaptureFixture[str]) -> None:
    """Its messages are kept away from the terminal, and may be for ever when it hangs; ours are not."""
    with open_log() as out, quiet():
        out.write("told\n")
        os.write(2, b"ALSA lib\n")
    assert capfd.readouterr().err == "told\n"


# ---- its own sound ---------------------------------------------------------------------------------------------------


def test_hands_free_does_not_answer_its_own_tones() -> None:
    """A speaker beside the microphone: the tone of a failure begins no question, which would fail with a tone again."""
    room = Room(mode="hands_free")
    room.hear(ROOM)
    room.device.player.tone("failure")
    quiet_room = windows_of(noise(2.0))
    for window in quiet_room:
        samples = np.frombuffer(window, "<i2") + np.frombuffer(room.device.player.fill(1280), "<i2")
        room.hear(samples.astype("<i2").tobytes())
    assert room.state == "listening"
    room.hear(noise(0.5, 3000))
    assert room.state == "recording"
