"""How many devices can wait for speech: `python -m bench.waiting`.

Every device always has a GET /audio open, and asks something every few seconds beside it.

Delivery is the time from the moment at which a segment is complete in the hub (the event `segment_ready`, stamped by
the hub with the wall clock of the same machine, to 1 ms) until its device has the head of the 200.  Only segments for
which the device was waiting already count; how long those of a device that came later took is `fetch`.  Both are
looked up for a sample of the devices when all is over, so that nobody listens to events during the measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp
import uvloop

from bench.device import Device, Fetched, open_http, sleep_until, speech_wav
from bench.figures import Budget, Figures, report, spread
from bench.processes import Watch, hub_process, pin
from bench.rounds import Client, add_options, run_in_turns, variants_of
from bench.rounds import sleep_until as wait_until
from bench.service import Variant, fakes, serve

BUDGETS = (Budget("delivery_p99_ms", 100.0), Budget("hub_rss_mb", 250.0), Budget("hub_cpu_percent", 100.0))
POLL_S = 60
RETRY_WAIT_S = 1.0
RAMP_PER_S = 200
EVENT_DEVICES = 200
"""Devices of which the deliveries are looked up; each look-up holds a thread of the hub for some seconds."""
EVENT_READERS = 16
EVENT_TIMEOUT_S = 5.0
GRACE_S = 5.0
PATIENCE_S = 120.0
SPEECH_S = 3.0
"""96 kB."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the devices do."""

    n_devices: int
    seconds: float
    every_s: tuple[float, float]
    "The shortest and the longest time between two utterances of a device."
    warm_up_s: float


@dataclass(slots=True)
class Seen:
    """What one device has seen; `ready` is Unix time, everything else monotonic, in seconds."""

    asked_at_s: list[float] = field(default_factory=list)
    "When an upload was due."
    uploads: dict[str, tuple[float, float]] = field(default_factory=dict)
    "By turn: when the upload was due and when it was answered."
    refused: Counter[str] = field(default_factory=Counter)
    fetched: list[Fetched] = field(default_factory=list)
    ready: dict[tuple[str, int], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What all devices have seen between two monotonic times."""

    devices: list[Seen]
    from_s: float
    to_s: float
    wall_minus_monotonic_s: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.waiting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=2000, help="devices that wait (default 2000)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a run after warming up (default 20)")
    parser.add_argument(
        "--every", type=float, nargs=2, default=(3.0, 7.0), metavar="S", help="time between utterances (default 3 7)"
    )
    parser.add_argument("--pin", action="store_true", help="keep the hub on core 0, and everything else as it is")
    add_options(parser)
    options = parser.parse_args()
    load = Load(options.devices, options.seconds, tuple(options.every), warm_up_s=max(options.every))
    variants = variants_of(options, waiting_config(options.devices))
    runs = run_in_turns(variants, options.rounds, lambda variant: measure(variant, load, options.pin))
    report(runs, BUDGETS, options.json)


def waiting_config(n_devices: int) -> dict[str, object]:
    """Return fakes that answer with one sentence of about 32 kB, and a door that lets all devices in."""
    config = fakes(
        threads=n_devices * 5 // 4 + 4 * EVENT_DEVICES, max_sessions=n_devices + 100, max_open_turns=n_devices
    )
    config["llm"]["fake"] = {"reply": "You said {heard}."}
    config["tts"]["fake"] = {"s_per_character": 0.04}
    for stage in ("stt", "llm", "tts", "analysis"):
        config[stage]["max_queue"] = n_devices
    return config


def measure(variant: Variant, load: Load, is_pinned: bool) -> Figures:
    """Return the figures of one run with a fresh service."""
    with serve(variant) as service:
        if is_pinned:
            pin(hub_process(service.pid), core=0)
        client = Client(play, service.port, load)
        try:
            begin_at_s = client.begin()
            watch = Watch(service.pid, client.pid)
            wait_until(begin_at_s + load.warm_up_s)
            watch.start()
            wait_until(begin_at_s + load.warm_up_s + load.seconds)
            used = watch.finish()
            crowd = client.result(PATIENCE_S)
        finally:
            client.close()
    return {**summary(crowd), **used}


def summary(crowd: Crowd) -> Figures:
    """Return what the devices saw, of the utterances sent in the span that is measured."""
    n_asked = n_answered = 0
    uploads_s: list[float] = []
    first_s: list[float] = []
    delivery_s: list[float] = []
    fetch_s: list[float] = []
    for seen in crowd.devices:
        firsts = {f.turn_id: f.answered_at_s for f in reversed(seen.fetched) if f.status == 200}
        n_asked += sum(crowd.from_s <= at_s < crowd.to_s for at_s in seen.asked_at_s)
        for turn_id, (sent_at_s, uploaded_at_s) in seen.uploads.items():
            if crowd.from_s <= sent_at_s < crowd.to_s:
                uploads_s.append(uploaded_at_s - sent_at_s)
                if turn_id in firsts:
                    n_answered += 1
                    first_s.append(firsts[turn_id] - sent_at_s)
        for fetched, ready_at_s in _segments(seen, crowd):
            waited = fetched.asked_at_s < ready_at_s
            (delivery_s if waited else fetch_s).append(
                fetched.answered_at_s - (ready_at_s if waited else fetched.asked_at_s)
            )
    refused = sum((seen.refused for seen in crowd.devices), Counter())
    return {
        "turns_asked": n_asked,
        "turns_unanswered": n_asked - n_answered,
        "turns_per_s": n_asked / (crowd.to_s - crowd.from_s),
        **{f"refused_{code}": count for code, count in sorted(refused.items())},
        "deliveries_looked_up": len(delivery_s),
        **spread("delivery", delivery_s),
        **spread("fetch", fetch_s),
        **spread("upload", uploads_s),
        **spread("upload_to_first", first_s),
    }


def _segments(seen: Seen, crowd: Crowd) -> Iterator[tuple[Fetched, float]]:
    """Yield what was fetched with the monotonic time at which it was ready, within the span that is measured."""
    for fetched in seen.fetched:
        ready_wall_s = seen.ready.get((fetched.turn_id, fetched.segment))
        if fetched.status == 200 and ready_wall_s is not None:
            ready_at_s = ready_wall_s - crowd.wall_minus_monotonic_s
            if crowd.from_s <= ready_at_s < crowd.to_s:
                yield fetched, ready_at_s


# ---- in the client's process ----------------------------------------------------------------------------------------


def play(start: Callable[[], float], port: int, load: Load) -> Crowd:
    """Play all devices."""
    return uvloop.run(_play(start, port, load))


async def _play(start: Callable[[], float], port: int, load: Load) -> Crowd:
    speech = speech_wav(SPEECH_S)
    async with open_http(port) as http:
        seen = [Seen() for _ in range(load.n_devices)]
        devices = [Device(http, f"device-{i}") for i in range(load.n_devices)]
        listening = []
        for device, own in zip(devices, seen, strict=True):
            listening.append(asyncio.create_task(_listen(device, own)))
            await asyncio.sleep(1 / RAMP_PER_S)
        gc.disable()
        begin_at_s = start()
        plans = enumerate(zip(devices, seen, strict=True))
        asking = [asyncio.create_task(_ask(device, own, speech, load, i, begin_at_s)) for i, (device, own) in plans]
        # What was asked last is still being answered; what takes longer counts as unanswered.
        await sleep_until(begin_at_s + load.warm_up_s + load.seconds + GRACE_S)
        for task in (*asking, *listening):
            task.cancel()
        await asyncio.gather(*asking, *listening, return_exceptions=True)
        await _read_events(http, devices, seen)
    from_s = begin_at_s + load.warm_up_s
    return Crowd(seen, from_s, from_s + load.seconds, time.time() - time.monotonic())


async def _listen(device: Device, seen: Seen) -> None:
    """Wait in GET /audio, always."""
    while True:
        try:
            fetched = await device.fetch(POLL_S)
        except (asyncio.TimeoutError, aiohttp.ClientError) as error:
            seen.refused[f"audio_{type(error).__name__}"] += 1
            await asyncio.sleep(RETRY_WAIT_S)
            continue
        if fetched.status == 200:
            seen.fetched.append(fetched)
        elif fetched.status not in (204, 404):
            seen.refused[f"audio_{fetched.status}"] += 1
            await asyncio.sleep(RETRY_WAIT_S)


async def _ask(device: Device, seen: Seen, speech: bytes, load: Load, number: int, begin_at_s: float) -> None:
    """Ask something every few seconds; the times do not depend on how fast the service is."""
    chance = random.Random(number)
    due_at_s = begin_at_s + chance.uniform(0, load.every_s[1])
    while due_at_s < begin_at_s + load.warm_up_s + load.seconds:
        await sleep_until(due_at_s)
        seen.asked_at_s.append(due_at_s)
        try:
            uploaded = await device.upload(speech)
        except (asyncio.TimeoutError, aiohttp.ClientError) as error:
            seen.refused[f"upload_{type(error).__name__}"] += 1
        else:
            if uploaded.status == 200:
                seen.uploads[uploaded.turn_id] = (due_at_s, time.monotonic())
            else:
                seen.refused[f"upload_{uploaded.status}"] += 1
        due_at_s += chance.uniform(*load.every_s)


async def _read_events(http: aiohttp.ClientSession, devices: list[Device], seen: list[Seen]) -> None:
    """Ask the hub, when all is over, when each segment of some devices was ready."""
    places = asyncio.Semaphore(EVENT_READERS)

    async def read(device: Device, own: Seen) -> None:
        wanted = {(fetched.turn_id, fetched.segment) for fetched in own.fetched}
        async with places, http.get(f"/events?session={device.session_id}") as response:
            while not wanted <= own.ready.keys():
                try:
                    line = await asyncio.wait_for(response.content.readline(), EVENT_TIMEOUT_S)
                except asyncio.TimeoutError:
                    return
                if not line:
                    return
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if event["event"] == "segment_ready":
                        own.ready[event["turn"], event["index"]] = event["at_s"]

    every = max(1, len(devices) // EVENT_DEVICES)
    await asyncio.gather(*(read(*pair) for pair in list(zip(devices, seen, strict=True))[::every]))


if __name__ == "__main__":
    main()
