"""Runs a device until it is told to stop: its streams, its settings file, its key, its watchdog."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from clients.device.device import Device
from clients.device.files import WavMicrophone, WavSpeaker
from clients.device.portaudio import AudioTrouble, PortAudio
from clients.device.settings import Settings
from clients.device.settings_file import SettingsFile
from clients.device.steps import ButtonPressed, StreamLost
from clients.device.supervisor import Hanging, OpenStream, Supervisor
from clients.service import Trouble

log = logging.getLogger("earshot.device")

CHECK_S = 0.25
LOOK_AT_FILE_S = 1.0
LOOK_FOR_DEVICES_S = 600.0
"""How often a microphone that works is closed for a moment because the speaker is missing."""
SPEAKER_STUCK_S = 5.0
LINGER_S = 1.0
"""A file that was heard and answered: so long nothing may happen before the device ends."""


class Streams:
    """Microphone and speaker of a device, kept open."""

    def __init__(self, device: Device, options: argparse.Namespace) -> None:
        self._device = device
        self._options = options
        self._audio = PortAudio()
        self._asked_s = time.monotonic()
        "When the speaker last asked for sound."
        self._looked_s = time.monotonic()
        self.microphone = Supervisor(
            "microphone",
            self._open_microphone,
            self._microphone_fault,
            self._microphone_opened,
            lambda why: device.post(StreamLost(why)),
            log.warning,
        )
        self.speaker = Supervisor(
            "speaker",
            self._open_speaker,
            self._speaker_fault,
            self._speaker_opened,
            lambda why: log.warning("the speaker is away (%s); it is opened again", why),
            log.warning,
        )
        device.n_restarts = lambda: self.microphone.n_restarts

    def check(self) -> None:
        """Look after both; raises Hanging."""
        self.microphone.check(time.monotonic())
        self.speaker.check(time.monotonic())
        if time.monotonic() - self._asked_s > SPEAKER_STUCK_S:
            self._device.player.give_up()

    def close(self) -> None:
        """Give both back; what hangs ends with the process."""
        for each in (self.microphone, self.speaker):
            with contextlib.suppress(Hanging):
                each.close()

    def change(self, old: Settings, new: Settings) -> None:
        """Open again what the settings want otherwise."""
        now_s = time.monotonic()
        microphone = ("device", "sample_rate", "channels")
        if any(getattr(old.microphone, name) != getattr(new.microphone, name) for name in microphone):
            self._device.post(StreamLost("other settings"))
            self.microphone.restart(now_s)
        if (old.speaker.device, old.speaker.sample_rate) != (new.speaker.device, new.speaker.sample_rate):
            self.speaker.restart(now_s)

    @property
    def is_over(self) -> bool:
        """Whether the microphone is a file that has ended."""
        stream = self.microphone.stream
        return isinstance(stream, WavMicrophone) and stream.is_over

    def _open_microphone(self) -> OpenStream:
        device, options = self._device, self._options
        if options.input_wav is not None:
            n_waiting: Callable[[], int] | None = None
            if options.fast:
                n_waiting = partial(getattr, device.inbox, "n_waiting")
            recording = device.settings.recording
            tail_s = max(recording.silence_ms / 1000, recording.no_speech_s) + 1
            return WavMicrophone(options.input_wav, device.hear, n_waiting, tail_s)
        try:
            return self._audio.open_microphone(device.settings.microphone, device.hear)
        except AudioTrouble:
            # It may have been plugged in since: the list of devices is made anew when nothing is open.
            if not device.machine.is_playing:
                if options.output_wav is None:
                    self.speaker.close()
                self._look_anew()
            raise

    def _open_speaker(self) -> OpenStream:
        device = self._device
        if self._options.output_wav is not None:
            return WavSpeaker(self._options.output_wav, self._fill)
        try:
            return self._audio.open_speaker(device.settings.speaker, self._fill)
        except AudioTrouble:
            now_s = time.monotonic()
            if device.is_idle and now_s - self._looked_s > LOOK_FOR_DEVICES_S:
                self._looked_s = now_s
                if self._options.input_wav is None:
                    self.microphone.close()
                self._look_anew()
            raise

    def _look_anew(self) -> None:
        """Have the list of devices made anew, for which nothing may be open."""
        if not self._audio.begin_again():
            raise Hanging("the driver hangs while a stream is closed, and no device can be found meanwhile")

    def _fill(self, n_frames: int, sample_rate: int) -> bytes:
        self._asked_s = time.monotonic()
        return self._device.fill(n_frames, sample_rate)

    def _microphone_fault(self, is_active: bool, now_s: float) -> str | None:
        # A file that is over is silent for good.
        return None if self.is_over else self._device.health.check(is_active, now_s)

    def _microphone_opened(self, stream: OpenStream, _asked_s: float) -> None:
        # Opening may have taken longer than a microphone may be silent.
        self._device.microphone_opened(stream, time.monotonic())

    def _speaker_opened(self, stream: OpenStream, _asked_s: float) -> None:
        self._asked_s = time.monotonic()
        self._device.player.change_rate(stream.sample_rate, self._device.settings.speaker)

    def _speaker_fault(self, is_active: bool, now_s: float) -> str | None:
        if not is_active:
            return "vanished"
        return "stuck" if now_s - self._asked_s > SPEAKER_STUCK_S else None


def run(source: SettingsFile, settings: Settings, options: argparse.Namespace) -> int:
    """Run a device until a signal, or until the file that it hears is over and answered; return the exit status."""
    if options.input_wav is not None:
        # Once is enough: a file that cannot be read will not become readable.
        WavMicrophone(options.input_wav, lambda _chunk, _gap: None, None, 0.0)
    device = Device(settings)
    streams = Streams(device, options)
    is_told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_told_to_stop.set())
    device.start()
    _want_keys(device)
    try:
        _look_after(device, streams, source, is_told_to_stop)
    except Hanging as error:
        log.error("%s: the device ends, so that it can be started anew", error)
        # What hangs would keep an orderly end from coming.
        os._exit(70)
    finally:
        device.stop()
        streams.close()
    return 0


def _look_after(device: Device, streams: Streams, source: SettingsFile, is_told_to_stop: threading.Event) -> None:
    looked_s = idle_since_s = time.monotonic()
    notify("READY=1")
    while not is_told_to_stop.wait(CHECK_S):
        streams.check()
        now_s = time.monotonic()
        if device.is_alive(now_s):
            notify("WATCHDOG=1")
        if now_s - looked_s >= LOOK_AT_FILE_S:
            looked_s = now_s
            if source.changed():
                _change(device, streams, source)
        if not (streams.is_over and device.is_idle):
            idle_since_s = now_s
        elif now_s - idle_since_s >= LINGER_S:
            return


def _change(device: Device, streams: Streams, source: SettingsFile) -> None:
    old = device.settings
    try:
        new = source.load()
        device.change(new)
    except Trouble as error:
        log.warning("the settings are not taken, the old ones stay: %s", error)
        return
    logging.getLogger().setLevel(new.log_level.upper())
    _want_keys(device)
    streams.change(old, new)


def _want_keys(device: Device) -> None:
    is_there = any(thread.name == "keys" for thread in threading.enumerate())
    if device.settings.mode == "push_to_talk" and not is_there:
        threading.Thread(target=_read_keys, args=[device], name="keys", daemon=True).start()


def _read_keys(device: Device) -> None:
    print("press Enter, ask, and press Enter again", flush=True)
    for _line in sys.stdin:
        device.post(ButtonPressed())


def notify(text: str) -> None:
    """Tell systemd, where it has started us: it starts again what tells nothing any more."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        try:
            out.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError as error:
            log.debug("systemd was not told: %s", error)
