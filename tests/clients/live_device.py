"""A device that holds a live conversation, and an answer for it."""

from __future__ import annotations

import re
import wave
from pathlib import Path
from typing import Any

from tests.clients.stand_ins import Device
from tests.live_scripts import Script, begin, complete, end, meta, msg, speech, words
from tests.serving import ROOT
from tests.standins.live_script import LiveScript

CHUNKS = [bytes([i, i + 1]) * 4_800 for i in range(3)]
ANSWER: Script = [
    *(*words("a", "m", 0, 1), begin("a", "m"), meta("m", 0, 0), CHUNKS[0], meta("m", 0, 1), CHUNKS[1]),
    *(meta("m", 1, 0), CHUNKS[2], complete("a"), end("a")),
]
HEARD = speech("a", "what time is it")
SPOKEN: Script = ["start_listening", HEARD[0], "stop_listening", *HEARD[1:], "ping", msg("pong"), *ANSWER]


class LiveDevice(Device):
    """A device that runs ws_talk.py."""

    program = ROOT / "clients" / "ws_talk.py"


def run(device: LiveDevice, service: LiveScript, *arguments: str, **options: Any) -> tuple[int, str, str]:
    """Run the client against this service; return exit status, words and errors."""
    return device.talk("--url", service.url, *arguments, **options)


def texts(told: str) -> list[str]:
    """Return what the lines tell, without the time before each."""
    return [re.sub(r"^ *\d+\.\d\d s  ", "", line) for line in told.splitlines()]


def read_wav(path: Path) -> tuple[int, bytes]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), file.readframes(file.getnframes())
