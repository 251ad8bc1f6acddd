"""What the service itself adds to a turn: `python -m bench.turns`.

Turns arrive on their own schedule, whether the service keeps up or not, and their latency counts from the scheduled
time: a service that falls behind, or a client that does, cannot hide it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import uvloop

from bench.device import Device, open_http, sleep_until, speech_wav
from bench.figures import Budget, Figures, quantile, report, spread
from bench.processes import Watch
from bench.rounds import Client, add_options, run_in_turns, variants_of
from bench.rounds import sleep_until as wait_until
from bench.service import Variant, fakes, serve

BUDGETS = (Budget("latency_p50_ms", 5.0), Budget("latency_p99_ms", 20.0))
WARM_UP_S = 3.0
PATIENCE_S = 30.0
MAX_WATERFALLS = 300
MARKS = ("received", "uploaded", "started", "transcript", "prompt", "first_token", "first_sentence", "first_speech")


@dataclass(frozen=True, slots=True)
class Load:
    """What the devices do."""

    rate: float
    "Turns begun in a second, over all devices."
    seconds: float
    n_devices: int
    speech_s: float
    is_even: bool
    "Turns come at equal distances; otherwise they come as from independent devices (a Poisson process)."


@dataclass(slots=True)
class PlayedTurn:
    """One turn as its device saw it; times are monotonic, in seconds."""

    due_at_s: float
    device: int
    sent_at_s: float = 0.0
    uploaded_at_s: float = 0.0
    first_at_s: float = 0.0
    ended_at_s: float = 0.0
    turn_id: str = ""
    failure: str = ""
    waterfall_ms: dict[str, float] | None = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="turns in a second (default 50)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a run after warming up (default 20)")
    parser.add_argument("--devices", type=int, default=100, help="devices that take turns (default 100)")
    parser.add_argument("--speech", type=float, default=5.0, help="length of an utterance, in seconds (default 5)")
    parser.add_argument("--even", action="store_true", help="turns at equal distances instead of at random ones")
    add_options(parser)
    options = parser.parse_args()
    load = Load(options.rate, options.seconds, options.devices, options.speech, options.even)
    variants = variants_of(options, fakes())
    report(run_in_turns(variants, options.rounds, lambda variant: measure(variant, load)), BUDGETS, options.json)


def measure(variant: Variant, load: Load) -> Figures:
    """Return the figures of one run with a fresh service."""
    with serve(variant) as service:
        client = Client(play, service.port, load)
        try:
            begin_at_s = client.begin()
            watch = Watch(service.pid, client.pid)
            wait_until(begin_at_s + WARM_UP_S)
            watch.start()
            wait_until(begin_at_s + WARM_UP_S + load.seconds)
            used = watch.finish()
            turns = client.result(PATIENCE_S + 30.0)
        finally:
            client.close()
    per_turn_ms = used["hub_cpu_percent"] / 100 * load.seconds * 1000 / max(1, len(turns))
    return {**summary(turns), "hub_cpu_per_turn_ms": per_turn_ms, **used, **hops(turns)}


def summary(turns: list[PlayedTurn]) -> Figures:
    """Return what the devices saw.  A turn without an answer counts as the longest latency there can be."""
    answered = [turn for turn in turns if not turn.failure]
    latencies_s = [turn.first_at_s - turn.due_at_s for turn in answered]
    latencies_s += [PATIENCE_S] * (len(turns) - len(answered))
    return {
        "turns_asked": len(turns),
        "turns_answered": len(answered),
        "turns_failed": len(turns) - len(answered),
        **spread("latency", latencies_s),
        **spread("upload", [turn.uploaded_at_s - turn.sent_at_s for turn in answered]),
        **spread("whole_turn", [turn.ended_at_s - turn.due_at_s for turn in answered]),
        **spread("client_late", [turn.sent_at_s - turn.due_at_s for turn in turns if turn.sent_at_s]),
    }


def hops(turns: list[PlayedTurn]) -> Figures:
    """Return where the time goes: the median of each step, out of the hub's own marks in a sample of turns.

    What the marks do not cover is on the way: both requests through client, loopback and server, and decoding.
    """
    steps: dict[str, list[float]] = {}
    for turn in turns:
        marks = turn.waterfall_ms or {}
        if not all(name in marks for name in (*MARKS, "first_fetch")):
            continue
        for before, name in zip(MARKS, (*MARKS[1:], "first_fetch"), strict=True):
            steps.setdefault(f"hop_{name}_ms", []).append(marks[name] - marks[before])
        around_ms = (turn.first_at_s - turn.sent_at_s) * 1000 - marks["first_fetch"]
        steps.setdefault("hop_outside_ms", []).append(around_ms)
    return {name: quantile(values, 0.5) for name, values in steps.items()}


# ---- in the client's process ----------------------------------------------------------------------------------------


def play(start: Callable[[], float], port: int, load: Load) -> list[PlayedTurn]:
    """Play all devices; return the turns that were due after warming up."""
    return uvloop.run(_play(start, port, load))


async def _play(start: Callable[[], float], port: int, load: Load) -> list[PlayedTurn]:
    speech = speech_wav(load.speech_s)
    async with open_http(port) as http:
        devices = [Device(http, f"device-{i}") for i in range(load.n_devices)]
        locks = [asyncio.Lock() for _ in devices]
        # A collection in the client would look like a delay of the service.
        gc.disable()
        begin_at_s = start()
        turns = schedule(load, begin_at_s)
        tasks = []
        for turn in turns:
            await sleep_until(turn.due_at_s)
            tasks.append(asyncio.create_task(_ask(devices[turn.device], locks[turn.device], turn, speech)))
        await asyncio.gather(*tasks)
        counted = [turn for turn in turns if turn.due_at_s >= begin_at_s + WARM_UP_S]
        answered = [turn for turn in counted if not turn.failure]
        for turn in random.Random(7).sample(answered, min(MAX_WATERFALLS, len(answered))):
            turn.waterfall_ms = await devices[turn.device].waterfall(turn.turn_id)
    return counted


def schedule(load: Load, begin_at_s: float) -> list[PlayedTurn]:
    """Return the turns with the times at which they are due; the same load always gives the same ones."""
    chance = random.Random(7)
    turns: list[PlayedTurn] = []
    at_s = 0.0
    while True:
        at_s += 1 / load.rate if load.is_even else chance.expovariate(load.rate)
        if at_s >= WARM_UP_S + load.seconds:
            return turns
        turns.append(PlayedTurn(begin_at_s + at_s, len(turns) % load.n_devices))


async def _ask(device: Device, lock: asyncio.Lock, turn: PlayedTurn, speech: bytes) -> None:
    try:
        async with lock:
            await asyncio.wait_for(_take_turn(device, turn, speech), PATIENCE_S)
    except (asyncio.TimeoutError, aiohttp.ClientError) as error:
        turn.failure = type(error).__name__


async def _take_turn(device: Device, turn: PlayedTurn, speech: bytes) -> None:
    turn.sent_at_s = time.monotonic()
    uploaded = await device.upload(speech)
    turn.turn_id, turn.uploaded_at_s = uploaded.turn_id, time.monotonic()
    if uploaded.status != 200:
        turn.failure = f"upload-{uploaded.status}"
        return
    while True:
        fetched = await device.fetch()
        if fetched.status == 200 and not turn.first_at_s:
            turn.first_at_s = fetched.answered_at_s
        elif fetched.status == 204:
            turn.ended_at_s = time.monotonic()
            turn.failure = "" if turn.first_at_s else "no-speech"
            return
        elif fetched.status not in (200, 404):
            turn.failure = f"audio-{fetched.status}"
            return


if __name__ == "__main__":
    main()
