"""The process that plays live microphones: WebSockets by hand, and one wheel that sends for all of them.

A client library, and a timer for each microphone, would cost more than the service that is measured.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import uvloop

from app.audio.windows import WINDOW_SAMPLES
from bench.voice import Cycle

RAMP_PER_S = 200
SLOT_S = 0.002
"""Microphones that are due within it send together."""
LEAD_S = 2.0
"""All microphones hear only their room before the first begins to speak."""
GRACE_S = 5.0
OPEN_TIMEOUT_S = 20.0
TEXT, BINARY, CLOSE = 1, 2, 8


@dataclass(frozen=True, slots=True)
class Load:
    """What the microphones do."""

    n_microphones: int
    talking: float
    "The share of them at which somebody talks; the others hear their room."
    cycle: Cycle
    seconds: float
    "Length of the span that is measured; it begins when everybody has talked once."

    @property
    def period_s(self) -> float:
        """The time between two questions of a microphone."""
        return len(self.cycle.frames) * self.cycle.frame_s

    @property
    def warm_up_s(self) -> float:
        """What passes before the span that is measured."""
        return LEAD_S + self.period_s


@dataclass(slots=True)
class Asked:
    """One question as its microphone saw it; times are monotonic, in seconds, 0 for never."""

    turn_id: str = ""
    n_utterances: int = 0
    "What the service made of it; it should be one."
    voiced_until_s: float = 0.0
    "When the frame with the last of it was sent."
    decided_at_s: float = 0.0
    "When the frame was sent with which the silence after it was complete."
    stopped_at_s: float = 0.0
    "When `speech_stopped` came."
    answered_at_s: float = 0.0
    "When the first sound of the answer came."


@dataclass(slots=True)
class Crowd:
    """What all microphones have seen between two monotonic times."""

    asked: list[Asked]
    refused: Counter[str]
    late_s: list[float]
    "How late the wheel was, for each of its steps."
    from_s: float
    to_s: float


def play(start: Callable[[], float], port: int, load: Load) -> Crowd:
    """Play all microphones."""
    return uvloop.run(_play(start, port, load))


async def _play(start: Callable[[], float], port: int, load: Load) -> Crowd:
    microphones = await _connect(port, load)
    gc.disable()
    begin_at_s = start()
    from_s = begin_at_s + load.warm_up_s
    to_s = from_s + load.seconds
    for microphone in microphones:
        microphone.listen()
    late_s = await _turn_wheel(microphones, load.cycle.frame_s, begin_at_s, to_s + GRACE_S)
    refused = sum((microphone.refused for microphone in microphones), Counter[str]())
    asked = [asked for microphone in microphones for asked in microphone.asked]
    for microphone in microphones:
        microphone.close()
    return Crowd(asked, refused, late_s, from_s, to_s)


async def _connect(port: int, load: Load) -> list[LiveMicrophone]:
    pcm16 = load.cycle
    frames, room = ([frame(BINARY, sound) for sound in sounds] for sounds in (pcm16.frames, pcm16.room))
    cycle = replace(pcm16, frames=frames, room=room)
    n_talking = round(load.talking * load.n_microphones)
    microphones = []
    for number in range(load.n_microphones):
        # Those that talk begin at even distances, so that as many speak at any time.
        lead_s = LEAD_S + load.period_s * number / n_talking if number < n_talking else None
        microphone = LiveMicrophone(f"microphone-{number}", cycle, lead_s)
        await asyncio.get_running_loop().create_connection(lambda own=microphone: own, "127.0.0.1", port)  # type: ignore[misc]
        microphones.append(microphone)
        await asyncio.sleep(1 / RAMP_PER_S)
    await asyncio.wait([microphone.is_open for microphone in microphones], timeout=OPEN_TIMEOUT_S)
    return microphones


async def _turn_wheel(
    microphones: list[LiveMicrophone], frame_s: float, begin_at_s: float, end_at_s: float
) -> list[float]:
    """Let each microphone send its frames on time; return how late they were."""
    n_slots = max(1, round(frame_s / SLOT_S))
    slots = [microphones[slot::n_slots] for slot in range(n_slots)]
    late_s = []
    step = 0
    while (due_at_s := begin_at_s + step * frame_s / n_slots) < end_at_s:
        await asyncio.sleep(max(0.0, due_at_s - time.monotonic()))
        number, slot = divmod(step, n_slots)
        now_s = time.monotonic()
        late_s.append(now_s - due_at_s)
        for microphone in slots[slot]:
            microphone.send(number)
        step += 1
    return late_s


class LiveMicrophone(asyncio.Protocol):
    """One connection: sends its cycle, and notes when what came back."""

    def __init__(self, session_id: str, cycle: Cycle, lead_s: float | None) -> None:
        self.is_open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked: list[Asked] = []
        self.refused: Counter[str] = Counter()
        self._session_id = session_id
        self._cycle = cycle
        self._lead_frames: int | None = None
        self._deciding = 0
        if lead_s is not None:
            self._lead_frames, self._deciding = begin_surely(cycle, lead_s)
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._is_accepted = False
        self._sounding = ""

    # ---- what it sends -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a live conversation."""
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(self._session_id.rjust(16)[-16:].encode()).decode()
        lines = (
            f"GET /ws?session={self._session_id} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def listen(self) -> None:
        """Open the microphone."""
        self._write(frame(TEXT, b'{"type": "start_listening"}'))

    def send(self, number: int) -> None:
        """Send the frame of this number, counted from the opening of the microphone."""
        cycle = self._cycle
        if self._lead_frames is None or number < self._lead_frames:
            self._write(cycle.room[number % len(cycle.room)])
            return
        at = (number - self._lead_frames) % len(cycle.frames)
        if at == cycle.first_voiced:
            self.asked.append(Asked())
        self._write(cycle.frames[at])
        if at == cycle.last_voiced:
            self.asked[-1].voiced_until_s = time.monotonic()
        elif at == self._deciding:
            self.asked[-1].decided_at_s = time.monotonic()

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # ---- what comes back ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Note what has come."""
        now_s = time.monotonic()
        self._received += data
        if not self._is_accepted and not self._accept():
            return
        while (found := find_frame(self._received)) is not None:
            opcode, start, end = found
            payload = bytes(self._received[start:end])
            del self._received[:end]
            if opcode == TEXT:
                self._note(json.loads(payload), now_s)
            elif opcode == BINARY:
                self._note_sound(now_s)
            elif opcode == CLOSE:
                self.refused[f"closed_{int.from_bytes(payload[:2], 'big')}"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Send no more."""
        self._transport = None
        self._open()

    def _accept(self) -> bool:
        """Read the answer to the handshake; false when there is none, or it is no."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        status = self._received[:end].split(b" ", 2)[1].decode()
        if status != "101":
            self.refused[f"handshake_{status}"] += 1
            self.close()
            return False
        del self._received[: end + 4]
        self._is_accepted = True
        return True

    def _open(self) -> None:
        if not self.is_open.done():
            self.is_open.set_result(None)

    def _note(self, message: dict[str, Any], now_s: float) -> None:
        match message["type"]:
            case "session":
                self._open()
            case "speech_started" if self.asked:
                self.asked[-1].turn_id = message["turn_id"]
                self.asked[-1].n_utterances += 1
            case "speech_stopped":
                if (asked := self._find(message["turn_id"])) is not None:
                    asked.stopped_at_s = now_s
            case "audio_stream_start":
                self._sounding = message["turn_id"]
            case "error":
                self.refused[message["code"]] += 1

    def _note_sound(self, now_s: float) -> None:
        asked = self._find(self._sounding)
        if asked is not None and not asked.answered_at_s:
            asked.answered_at_s = now_s

    def _find(self, turn_id: str) -> Asked | None:
        return next((asked for asked in reversed(self.asked) if asked.turn_id == turn_id), None)


def begin_surely(cycle: Cycle, lead_s: float) -> tuple[int, int]:
    """Return after how many frames a cycle may begin, about `lead_s`, and the number of its deciding frame."""
    n_frames = round(lead_s / cycle.frame_s)
    while (deciding := cycle.deciding.get(n_frames * cycle.frame_samples % WINDOW_SAMPLES)) is None:
        n_frames += 1
    return n_frames, deciding


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame of a client; its mask is zero, which leaves the payload as it is."""
    size = len(payload)
    length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def find_frame(received: bytearray) -> tuple[int, int, int] | None:
    """Return opcode, beginning and end of the payload of the first frame of a server; None when more must come."""
    if len(received) < 2:
        return None
    start, size = 2, received[1]
    if size >= 126:
        start += 2 if size == 126 else 8
        size = int.from_bytes(received[2:start], "big")
    if len(received) < start + size:
        return None
    return received[0] & 0x0F, start, start + size
