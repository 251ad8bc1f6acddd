"""A sound card made of software: a private PulseAudio whose microphone hears what is played into it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

RATE = 16_000
START_TIMEOUT_S = 20.0

MODULES = (
    "module-null-sink sink_name=mic rate=16000 channels=1 format=s16le",
    "module-remap-source master=mic.monitor source_name=vmic rate=16000 channels=1 format=s16le",
    "module-null-sink sink_name=spk rate=16000 channels=1 format=s16le",
)
DEVICES = """
pcm.vmic {{ type pulse server "{server}" device "vmic" hint {{ show on description "virtual microphone" }} }}
pcm.vspk {{ type pulse server "{server}" device "spk" hint {{ show on description "virtual speaker" }} }}
pcm.!default {{ type pulse server "{server}" hint {{ show on description "default" }} }}
ctl.!default {{ type pulse server "{server}" }}
"""
"""Without the system's own alsa.conf, which makes pages of messages about devices that are not there."""


@dataclass
class VirtualAudio:
    """Where the virtual devices are."""

    environ: dict[str, str]
    process: subprocess.Popen[bytes]

    def speak(self, pcm16: bytes) -> None:
        """Play PCM16 at 16 kHz into the microphone; return when it is over."""
        self.start_to_speak(pcm16).wait(60)

    def start_to_speak(self, pcm16: bytes) -> subprocess.Popen[bytes]:
        """Begin to play PCM16 at 16 kHz into the microphone."""
        with tempfile.TemporaryFile() as file:
            file.write(pcm16)
            file.seek(0)
            return subprocess.Popen([*pacat("--playback", "mic"), "--latency-msec=100"], stdin=file, env=self.environ)

    @contextmanager
    def capture_speaker(self, path: Path) -> Iterator[None]:
        """Write what the speaker plays into a file of PCM16 until the block ends."""
        with path.open("wb") as file:
            command = [*pacat("--record", "spk.monitor"), "--latency-msec=20"]
            process = subprocess.Popen(command, stdout=file, env=self.environ)
            try:
                yield
            finally:
                process.terminate()
                process.wait(10)


def pacat(direction: str, device: str) -> list[str]:
    return ["pacat", direction, "--raw", "-d", device, f"--rate={RATE}", "--channels=1", "--format=s16le"]


def missing_for_audio() -> str:
    """Return what is missing for real streams, and how to get it; empty when all is there."""
    programs = [name for name in ("pulseaudio", "pacat", "pactl") if not shutil.which(name)]
    plugin = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    if programs or not plugin:
        return "no virtual sound card: apt-get install pulseaudio pulseaudio-utils libasound2-plugins"
    if importlib.util.find_spec("pyaudio") is None:
        return "no PyAudio: apt-get install portaudio19-dev gcc python3-dev, then pip install pyaudio"
    return ""


@contextmanager
def virtual_audio(place: Path | None = None) -> Iterator[VirtualAudio]:
    """Run a sound server with a microphone and a speaker; skip the test where that cannot be.

    place: the folder of one that has ended, to take its place.
    """
    if missing := missing_for_audio():
        pytest.skip(missing)
    with tempfile.TemporaryDirectory() as new_folder:
        folder = str(place or new_folder)
        Path(folder, "native").unlink(missing_ok=True)
        server = f"unix:{folder}/native"
        environ = {
            **os.environ,
            "PULSE_RUNTIME_PATH": folder,
            "PULSE_STATE_PATH": folder,
            "PULSE_COOKIE": f"{folder}/cookie",
            "PULSE_SERVER": server,
            # At 20 or 60 ms the output stream hangs.
            "PULSE_LATENCY_MSEC": "100",
            "ALSA_CONFIG_PATH": f"{folder}/asound.conf",
        }
        Path(folder, "asound.conf").write_text(DEVICES.format(server=server))
        options = (
            "-n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disallow-exit --realtime=no --high-priority=no"
        )
        modules = (f"module-native-protocol-unix socket={folder}/native auth-anonymous=1", *MODULES)
        command = ["pulseaudio", *options.split(), f"--log-target=file:{folder}/log"]
        process = subprocess.Popen([*command, *(part for each in modules for part in ("-L", each))], env=environ)
        try:
            wait_for_server(process, environ)
            for what in ("source vmic", "sink spk"):
                subprocess.run(["pactl", f"set-default-{what.split()[0]}", what.split()[1]], env=environ, check=True)
            yield VirtualAudio(environ, process)
        finally:
            process.kill()
            process.wait()


def wait_for_server(process: subprocess.Popen[bytes], environ: dict[str, str]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if subprocess.run(["pactl", "info"], env=environ, capture_output=True).returncode == 0:
            return
        # A real process is being waited for, which cannot tell when it listens.
        time.sleep(0.05)
    pytest.skip("pulseaudio does not start here")
