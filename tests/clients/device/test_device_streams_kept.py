"""What becomes of the device when sound cards come and go, on cards that the test has in its hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clients.device.__main__ import parse_arguments
from clients.device.device import Device
from clients.device.portaudio import AudioTrouble
from clients.device.runner import Streams
from clients.device.settings import MicrophoneSettings, SpeakerSettings
from clients.device.supervisor import Hanging
from tests.clients.device.scenes import noise, settings, windows_of


class Card:
    """An open device that does what the test says."""

    def __init__(self, name: str, on_closed: Callable[[], object]) -> None:
        self.name, self.sample_rate, self.channels, self.is_active = name, 16_000, 1, True
        self.close = on_closed

    def start(self) -> None: ...


class Cards:
    """The sound devices of a machine, in the place of PortAudio."""

    def __init__(self) -> None:
        self.plugged = {"microphone", "speaker"}
        self.known = set(self.plugged)
        "A list that is as old as the last beginning."
        self.n_open = 0
        self.closes_well = True
        self.takes_s = 0.0
        self.now_s = 100.0
        self.open: dict[str, Card] = {}
        self.fill: Callable[[int, int], bytes] = lambda _n, _rate: b""

    def open_microphone(self, _settings: MicrophoneSettings, _on_chunk: object) -> Card:
        return self._open("microphone")

    def open_speaker(self, _settings: SpeakerSettings, fill: Callable[[int, int], bytes]) -> Card:
        self.fill = fill
        return self._open("speaker")

    def begin_again(self) -> bool:
        if self.n_open == 0:
            self.known = set(self.plugged)
        return self.n_open == 0

    def close(self) -> None: ...

    def _open(self, name: str) -> Card:
        self.now_s += self.takes_s
        if name not in self.known & self.plugged:
            raise AudioTrouble(f"this machine has no {name}")
        self.n_open += 1
        self.open[name] = Card(name, self._closed)
        return self.open[name]

    def _closed(self) -> None:
        self.n_open -= self.closes_well

    def unplug(self, name: str) -> None:
        self.plugged.discard(name)
        self.open[name].is_active = False


class House:
    """A device with its streams and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *arguments: str, **tree: Any) -> None:
        self.cards = Cards()
        monkeypatch.setattr("clients.device.runner.PortAudio", lambda: self.cards)
        monkeypatch.setattr("clients.device.runner.time", SimpleNamespace(monotonic=lambda: self.cards.now_s))
        self.device = Device(settings(tree))
        self.streams = Streams(self.device, parse_arguments(list(arguments)))
        self.passes(1)

    def passes(self, seconds: float, hears: bool = True) -> None:
        """Let time pass; cards that are open give sound and ask for it."""
        for _ in range(round(seconds / 0.25)):
            self.cards.now_s += 0.25
            if hears and self.streams.microphone.stream is not None:
                self.device.health.heard(self.cards.now_s.hex().encode(), self.cards.now_s)
            if self.streams.speaker.stream is not None and self.streams.speaker.stream.is_active:
                self.streams._fill(4000, 16_000)
            self.streams.check()
            self.device.listen()

    @property
    def state(self) -> str:
        return self.device.machine.state


def test_a_speaker_that_is_unplugged_ends_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device listens again, is not taken for speaking for ever, and finds the speaker when it is back."""
    house = House(monkeypatch, mode="hands_free")
    house.device.player.play(bytes(2 * 16_000 * 60))
    house.passes(2)
    assert house.state == "speaking"
    house.cards.unplug("speaker")
    house.passes(10)
    assert house.state == "listening"
    for window in windows_of(noise(2.0) + noise(0.5, 3000)):
        house.device.hear(window)
    house.device.listen()
    assert house.state == "recording"


def test_tones_do_not_wait_for_a_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A speaker that comes after a week is silent until there is something new to hear."""
    house = House(monkeypatch)
    house.cards.unplug("speaker")
    for _ in range(100):
        house.device.player.tone("wake")
        house.passes(10)
    house.device.player.play(b"\1\1" * 1000)
    house.passes(10)
    house.cards.plugged.add("speaker")
    house.passes(1300)
    assert house.streams.speaker.stream is not None
    assert house.cards.fill(16_000, 16_000) == bytes(32_000)


def test_a_short_loss_of_the_speaker_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is opened again at once goes on with what was in line."""
    house = House(monkeypatch)
    house.passes(61)
    house.device.player.play(b"\1\1" * 16_000 * 60)
    house.passes(2)
    house.cards.open["speaker"].is_active = False
    house.passes(1)
    assert house.cards.fill(10, 16_000) == b"\1\1" * 10


def test_a_microphone_that_takes_its_time_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for its opening is none in which it was silent."""
    house = House(monkeypatch)
    house.cards.takes_s = 4.0
    house.cards.open["microphone"].is_active = False
    house.passes(2, hears=False)
    assert house.streams.microphone.n_restarts == 1
    assert house.state == "listening"


def test_a_muted_microphone_that_does_not_open_again_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was closed to make sure; the state says that nothing is heard, and later that it is back."""
    house = House(monkeypatch)
    for _ in range(60):
        house.device.health.heard(bytes(8), house.cards.now_s)
        house.passes(1, hears=False)
    house.cards.plugged.discard("microphone")
    house.device.health.heard(bytes(8), house.cards.now_s)
    house.passes(2, hears=False)
    assert house.streams.microphone.n_restarts == 1
    assert house.state == "recovering"
    house.cards.plugged.add("microphone")
    house.passes(120)
    assert house.state == "listening"


def test_a_card_that_hangs_while_it_is_closed_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does, no new card can be found: only a new process can."""
    house = House(monkeypatch)
    house.cards.closes_well = False
    house.cards.unplug("microphone")
    with pytest.raises(Hanging):
        house.passes(10)


def test_what_is_opened_again_and_again_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A speaker without a microphone, which is looked for every minute: a line for each change, not for each look."""
    house = House(monkeypatch)
    house.cards.unplug("microphone")
    house.passes(3600)
    assert len(caplog.records) < 8, [record.message for record in caplog.records]


def test_a_driver_that_hangs_does_not_keep_the_device_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops the device gets no traceback; what hangs ends with the process."""
    house = House(monkeypatch)
    house.streams.microphone._n_hanging = 2
    monkeypatch.setattr("clients.device.supervisor.HANGS_AFTER_S", 0.01)
    may_end = threading.Event()
    house.cards.open["microphone"].close = may_end.wait  # type: ignore[method-assign]
    house.streams.close()
    may_end.set()
    assert house.streams.speaker.stream is None


def test_a_file_is_not_begun_anew_while_a_microphone_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was spoken so far stays in it."""
    house = House(monkeypatch, "--output-wav", str(tmp_path / "out.wav"))
    file = house.streams.speaker.stream
    house.cards.unplug("microphone")
    house.passes(60)
    assert house.streams.speaker.stream is file
    house.streams.close()
