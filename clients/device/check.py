"""Tries everything that a device needs; each line says ok, or what to do."""

from __future__ import annotations

import time
from collections.abc import Callable

from clients.device.level import dbfs, rms
from clients.device.link import Link, Unanswered
from clients.device.portaudio import PortAudio
from clients.device.settings import Settings
from clients.device.tones import make_tones
from clients.device.wake import load_engines
from clients.device.windows import WINDOW_BYTES, Windows
from clients.service import Lost, Trouble

LISTEN_S = 2.0
FIRST_SOUND_S = 5.0
QUIET_DBFS = -70.0
CLIPPED_DBFS = -3.0


def list_devices() -> int:
    """Print microphones and speakers; return the exit status."""
    devices = PortAudio().devices()
    for each in devices:
        kinds = [f"{n} {name}" for n, name in ((each.n_inputs, "in"), (each.n_outputs, "out")) if n]
        print(f"{each.index:3}  {each.name}  ({', '.join(kinds)}, {each.sample_rate} Hz)")
    if not devices:
        print("no sound devices: plug one in; `arecord -l` and `aplay -l` must list it too")
    return 0 if devices else 1


def check(settings: Settings) -> int:
    """Print one line for each thing that a device needs; return the exit status."""
    audio = PortAudio()
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("microphone", lambda: _check_microphone(audio, settings)),
        ("speaker", lambda: _check_speaker(audio, settings)),
        ("wake words", lambda: _check_wake(settings)),
        ("service", lambda: _check_service(settings)),
    )
    results = [_report(name, step) for name, step in steps]
    return 0 if all(results) else 1


def _report(name: str, step: Callable[[], str]) -> bool:
    try:
        print(f"{name}: ok, {step()}", flush=True)
    except Trouble as error:
        print(f"{name}: FAILED, {error}", flush=True)
        return False
    return True


def _check_microphone(audio: PortAudio, settings: Settings) -> str:
    chunks: list[bytes] = []
    stream = audio.open_microphone(settings.microphone, lambda chunk, _gap: chunks.append(chunk))
    try:
        stream.start()
        deadline_s = time.monotonic() + FIRST_SOUND_S
        while not chunks and time.monotonic() < deadline_s:
            time.sleep(0.02)
        time.sleep(LISTEN_S if chunks else 0)
    finally:
        stream.close()
    if not chunks:
        raise Trouble(f"{stream.name!r} opens and gives no sound: another program may hold it, or its cable is loose")
    windows = Windows(stream.sample_rate, stream.channels).feed(b"".join(chunks))
    loudest = max((dbfs(rms(window)) for window in windows), default=-96.0)
    level = dbfs(rms(b"".join(windows)))
    if not b"".join(windows).strip(b"\0"):
        raise Trouble(f"{stream.name!r} gives nothing but zeros: it is muted; see `alsamixer`, F4")
    told = f"{stream.name!r}, {stream.sample_rate} Hz, {stream.channels} channel(s), level {level:.0f} dBFS"
    if loudest < QUIET_DBFS:
        return f"{told}: very quiet; turn it up in `alsamixer`, F4, and say something during the check"
    if loudest > CLIPPED_DBFS:
        return f"{told}: overdriven; turn it down in `alsamixer`, F4"
    return f"{told}, loudest {loudest:.0f} dBFS"


def _check_speaker(audio: PortAudio, settings: Settings) -> str:
    left = bytearray()
    n_asked = 0

    def fill(n_frames: int, sample_rate: int) -> bytes:
        nonlocal n_asked
        if not n_asked:
            left.extend(make_tones(sample_rate, settings.speaker.tone_volume)["wake"])
        n_asked += 1
        piece = bytes(left[: 2 * n_frames])
        del left[: 2 * n_frames]
        return piece.ljust(2 * n_frames, b"\0")

    stream = audio.open_speaker(settings.speaker, fill)
    try:
        stream.start()
        deadline_s = time.monotonic() + FIRST_SOUND_S
        while (not n_asked or left) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        stream.close()
    if not n_asked or left:
        raise Trouble(f"{stream.name!r} opens and plays nothing: another program may hold it")
    return f"{stream.name!r}, {stream.sample_rate} Hz; it played a tone: turn it up in `alsamixer` if nobody heard it"


def _check_wake(settings: Settings) -> str:
    models = [model for model in settings.wake.models if model.enabled]
    engines = load_engines(models)
    began_s = time.process_time()
    for engine in engines:
        for _ in range(12):
            engine.feed(bytes(WINDOW_BYTES))
    share = (time.process_time() - began_s) / (12 * 0.08)
    names = ", ".join(model.name for model in models) or "none"
    return f"{names}; they take {share:.1%} of one core"


def _check_service(settings: Settings) -> str:
    link = Link(settings)
    began_s = time.monotonic()
    try:
        link.ask("GET", "/ready", timeout_s=10)
    except Unanswered as error:
        raise Lost(f"{error}: start it there with scripts/run --lan, or name another with --url") from None
    took_ms = (time.monotonic() - began_s) * 1000
    # This one wants to know who asks.
    link.ask("GET", "/audio", {"timeout": "0"}, timeout_s=10)
    return f"{settings.server.url} is ready, and answered in {took_ms:.0f} ms"
