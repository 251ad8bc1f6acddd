"""When a stream is broken, and how it is opened again."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from clients.device.health import Backoff, StreamHealth
from clients.device.portaudio import AudioTrouble, PortAudio
from clients.device.runner import notify
from clients.device.settings import MicrophoneSettings
from clients.device.supervisor import Hanging, Supervisor
from clients.service import Trouble
from tests.clients.device.scenes import wait_until

SOUND, ZEROS = b"\1\2" * 4, bytes(8)


def listen(health: StreamHealth, begin_s: float, seconds: float, chunk: Callable[[int], bytes]) -> list[str | None]:
    """Feed a chunk every 80 ms and return what was found wrong."""
    found = []
    for number in range(round(seconds / 0.08)):
        now_s = begin_s + number * 0.08
        health.heard(chunk(number), now_s)
        found.append(health.check(True, now_s))
    return found


def live(number: int) -> bytes:
    return number.to_bytes(8, "little")


def test_waits_double_up_to_the_longest() -> None:
    """And begin again after something worked."""
    backoff = Backoff(1.0, 60.0)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.worked()
    assert backoff.failed() == 1
    for _ in range(2000):
        backoff.failed()
    assert backoff.failed() == 60


def test_a_stream_without_callbacks_is_stuck() -> None:
    """After the time that is set, and not before."""
    health = StreamHealth(MicrophoneSettings(stuck_after_s=3))
    health.opened(100.0)
    assert health.check(True, 102.9) is None
    assert health.check(True, 103.0) == "stuck"
    health.heard(SOUND, 103.1)
    assert health.check(True, 104.0) is None


def test_a_driver_that_stops_has_vanished() -> None:
    """An unplugged device says so itself."""
    assert StreamHealth(MicrophoneSettings()).check(False, 0.0) == "vanished"


def test_a_driver_that_repeats_itself_is_broken() -> None:
    """The same sound again and again is no microphone; sound that changes is."""
    health = StreamHealth(MicrophoneSettings())
    assert set(listen(health, 0.0, 60, live)) == {None}
    assert set(listen(health, 60.0, 4.9, lambda _n: SOUND)) == {None}
    assert listen(health, 65.0, 1, lambda _n: SOUND)[-1] == "repeating"


def test_a_muted_microphone_is_looked_at_less_and_less() -> None:
    """Zeros for a day make the stream be opened again a few times, and never count as broken."""
    health = StreamHealth(MicrophoneSettings(silent_after_s=60))
    n_looks = 0
    health.opened(0.0)
    for now_s in range(1, 24 * 3600):
        health.heard(ZEROS, float(now_s))
        fault = health.check(True, float(now_s))
        assert fault in (None, "silent")
        if fault:
            n_looks += 1
            health.opened(float(now_s))
    assert health.is_muted
    assert 20 < n_looks < 30
    health.heard(SOUND, 24 * 3600.0)
    assert not health.is_muted


class Played:
    """A stream that does what the test says, and a supervisor over it."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self.fault: str | None = None
        self.told: list[str] = []
        self.n_opened = self.n_closed = 0
        self.lost: list[str] = []
        self.supervisor = Supervisor(
            "microphone",
            self._open,
            lambda _active, _now: self.fault,
            lambda _stream, _now: None,
            self.lost.append,
            self.told.append,
        )

    name, sample_rate, channels, is_active = "played", 16000, 1, True

    def _open(self) -> Played:
        if self.trouble is not None:
            raise self.trouble
        self.n_opened += 1
        return self

    def start(self) -> None: ...

    def close(self) -> None:
        self.n_closed += 1
        self.fault = None


def test_a_device_that_is_away_is_tried_again_and_told_once() -> None:
    """With growing waits; what is wrong is said once, and that it is back too."""
    played = Played()
    played.trouble = AudioTrouble("there is no microphone")
    tries = []
    real_open = played._open
    played.supervisor._open_stream = lambda: tries.append(now_s) or real_open()  # type: ignore[func-returns-value]
    for now_s in range(600):
        played.supervisor.check(float(now_s))
    assert tries[:6] == [0, 1, 3, 7, 15, 31]
    assert all(b - a == 60 for a, b in itertools.pairwise(tries[6:]))
    assert played.told == ["there is no microphone"]
    played.trouble = None
    played.supervisor.check(700.0)
    assert played.told[1:] == ["microphone: played, 16000 Hz, 1 channel(s)"]


def test_a_broken_stream_is_closed_and_opened() -> None:
    """At once when it has worked for long, after a wait when it breaks again and again."""
    played = Played()
    played.supervisor.check(0.0)
    played.supervisor.check(61.0)
    played.fault = "stuck"
    played.supervisor.check(100.0)
    assert (played.n_opened, played.n_closed, played.lost) == (1, 1, ["stuck"])
    played.supervisor.check(100.25)
    assert played.n_opened == 2
    played.fault = "vanished"
    played.supervisor.check(101.0)
    played.supervisor.check(101.5)
    assert played.n_opened == 2
    played.supervisor.check(102.0)
    assert (played.n_opened, played.supervisor.n_restarts) == (3, 2)


def test_silence_is_no_loss() -> None:
    """The stream is opened again, and nobody is told that the microphone is away."""
    played = Played()
    played.supervisor.check(0.0)
    played.fault = "silent"
    played.supervisor.check(61.0)
    played.supervisor.check(62.0)
    assert (played.lost, played.n_opened) == ([], 2)
    assert "muted" in played.told[-2]


def test_a_driver_that_hangs_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that never come back are left behind; after a few the process should begin anew."""
    monkeypatch.setattr("clients.device.supervisor.HANGS_AFTER_S", 0.01)
    played = Played()
    comes_back = threading.Event()
    played.supervisor._open_stream = lambda: (comes_back.wait() and played._open()) or played
    played.supervisor.check(0.0)
    played.supervisor.check(100.0)
    assert played.told == ["the driver of the microphone hangs; it is tried again"]
    with pytest.raises(Hanging):
        played.supervisor.check(200.0)
    comes_back.set()


def test_systemd_is_told_that_we_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd has started us; elsewhere, and when it has gone, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("WATCHDOG=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("WATCHDOG=1")
        assert systemd.recv(100) == b"WATCHDOG=1"
    notify("WATCHDOG=1")


def test_what_a_driver_opens_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody holds it, and it holds the device for ever."""
    monkeypatch.setattr("clients.device.supervisor.HANGS_AFTER_S", 0.01)
    played = Played()
    comes_back = threading.Event()
    played.supervisor._open_stream = lambda: (comes_back.wait() and played._open()) or played
    played.supervisor.check(0.0)
    comes_back.set()
    wait_until(lambda: played.n_closed == 1, "the late stream is closed")
    assert played.supervisor.stream is None


@pytest.mark.parametrize("fault", ["start", "list"])
def test_a_sound_system_that_fails_is_told(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio's own errors are trouble with a line, after which it is tried again, and no end of the device."""

    class Failing:
        def __init__(self) -> None:
            if fault == "start":
                raise OSError(-9999, "Unanticipated host error")

        def get_device_count(self) -> int:
            raise OSError(-10000, "PortAudio not initialized")

    monkeypatch.setitem(sys.modules, "pyaudio", SimpleNamespace(PyAudio=Failing))
    audio = PortAudio()
    with pytest.raises(AudioTrouble, match="arecord -l"):
        audio.open_microphone(MicrophoneSettings(), lambda _chunk, _gap: None)


class OneRate:
    """A sound system with one microphone, which does one rate and one number of channels."""

    def __init__(self, rate: int, channels: int) -> None:
        self.only = rate, channels
        self.tried: list[tuple[int, int]] = []

    def get_device_count(self) -> int:
        return 1

    def get_device_info_by_index(self, _index: int) -> dict[str, object]:
        names = {"index": 0, "name": "usb", "defaultSampleRate": 44100.0}
        return {**names, "maxInputChannels": 2, "maxOutputChannels": 0}

    def get_default_input_device_info(self) -> dict[str, object]:
        return self.get_device_info_by_index(0)

    def open(self, rate: int, channels: int, **_options: object) -> str:
        self.tried.append((rate, channels))
        if (rate, channels) != self.only:
            raise OSError(-9997, "Invalid sample rate")
        return "stream"


def open_usb(card: OneRate, monkeypatch: pytest.MonkeyPatch, **wanted: int) -> tuple[int, int]:
    module = SimpleNamespace(PyAudio=lambda: card, paInt16=8, paContinue=0, paInputOverflow=2)
    monkeypatch.setitem(sys.modules, "pyaudio", module)
    stream = PortAudio().open_microphone(MicrophoneSettings(**wanted), lambda _chunk, _gap: None)
    return stream.sample_rate, stream.channels


@pytest.mark.parametrize("form", [(16000, 1), (44100, 1), (16000, 2), (44100, 2)])
def test_a_microphone_is_opened_as_it_can(form: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """At 16 kHz and mono where it does that, else at its own rate or with its own channels."""
    assert open_usb(OneRate(*form), monkeypatch) == form


def test_a_rate_that_a_microphone_does_not_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for is asked of it, and the line says which setting it is."""
    card = OneRate(44100, 2)
    with pytest.raises(AudioTrouble, match=r"'usb' cannot be opened \(8000 Hz.*microphone\.sample_rate"):
        open_usb(card, monkeypatch, sample_rate=8000)
    assert card.tried == [(8000, 1), (8000, 2)]
