"""How fast real questions are answered: `python -m bench.answer question.wav …`.

The clock starts when the question ends: when the upload of the whole recording begins, or with --paced, when the last
of the speech has been sent as a microphone would send it.  It stops at the first byte of speech at the client.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import time
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.device import Device, open_http
from bench.figures import Budget, Figures, median_of, number, report, table
from bench.processes import Watch
from bench.rounds import Client, add_options, run_in_turns, variants_of
from bench.service import ROOT, Variant, serve

BUDGETS = (Budget("slowest_first_byte_ms", 500.0),)
LONGEST_QUESTION_S = 3.5
"""The budget is about a question of 3 s; what is longer is measured and not judged."""
CONTENT_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}
MARKS = ("started", "transcript", "first_token", "first_sentence", "first_speech", "first_fetch", "ended")
COLUMNS = ("speech_s", "uploaded_ms", *(f"{mark}_ms" for mark in MARKS), "first_byte_ms", "first_byte_max_ms")
PIECE_S = 0.1
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One question as its device saw it; times in milliseconds after the question's end."""

    speech_s: float
    uploaded_ms: float
    first_byte_ms: float
    "nan when nothing was said."
    waterfall_ms: dict[str, float]
    "The hub's own marks; they count from the moment at which the hub opened the turn."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.answer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, MP3 or OGG")
    parser.add_argument("--repeat", type=int, default=5, help="how often each is asked in a run (default 5)")
    parser.add_argument("--paced", action="store_true", help="send WAV files as they are spoken, chunk by chunk")
    add_options(parser)
    parser.set_defaults(rounds=1)
    options = parser.parse_args()
    embedded = json.loads((ROOT / "config.json.example").read_text(encoding="utf-8"))
    variants = variants_of(options, embedded)
    runs = run_in_turns(
        variants, options.rounds, lambda variant: measure(variant, options.recordings, options.repeat, options.paced)
    )
    if options.json != "-":
        for name, of_variant in runs.items():
            print(f"\n{name}: medians over the repetitions, hub marks from the opening of the turn")
            print(table(_matrix(median_of(of_variant), [path.stem for path in options.recordings])))
    report(runs, BUDGETS, options.json)


def measure(variant: Variant, recordings: list[Path], n_times: int, is_paced: bool) -> Figures:
    """Return the figures of one run with a fresh service."""
    with serve(variant) as service:
        client = Client(play, service.port, recordings, n_times, is_paced)
        try:
            client.begin()
            watch = Watch(service.pid, client.pid)
            watch.start()
            answers = client.result(PATIENCE_S + len(recordings) * n_times * 30.0)
            used = watch.finish()
        finally:
            client.close()
    return {**summary(answers), **used}


def summary(answers: dict[str, list[Answer]]) -> Figures:
    """Return medians over the repetitions for each recording, and the slowest median of the questions that count."""
    figures: Figures = {}
    judged = []
    for name, given in answers.items():
        figures[f"{name}.speech_s"] = given[0].speech_s
        figures[f"{name}.uploaded_ms"] = statistics.median(answer.uploaded_ms for answer in given)
        for mark in MARKS:
            if values := [answer.waterfall_ms[mark] for answer in given if mark in answer.waterfall_ms]:
                figures[f"{name}.{mark}_ms"] = statistics.median(values)
        first_bytes_ms = [answer.first_byte_ms for answer in given]
        figures[f"{name}.first_byte_ms"] = statistics.median(first_bytes_ms)
        figures[f"{name}.first_byte_max_ms"] = max(first_bytes_ms)
        if given[0].speech_s <= LONGEST_QUESTION_S:
            judged.append(figures[f"{name}.first_byte_ms"])
    if judged:
        figures["slowest_first_byte_ms"] = max(judged)
    return figures


def _matrix(figures: Figures, names: list[str]) -> list[list[str]]:
    rows = [["recording", *(column.removesuffix("_ms") for column in COLUMNS)]]
    for name in names:
        rows.append([name, *(number(figures.get(f"{name}.{column}", float("nan"))) for column in COLUMNS)])
    return rows


# ---- in the client's process ----------------------------------------------------------------------------------------


def play(
    start: Callable[[], float], port: int, recordings: list[Path], n_times: int, is_paced: bool
) -> dict[str, list[Answer]]:
    """Ask every question `n_times`, one after the other; the first of all is asked once more, to warm up."""
    return uvloop.run(_play(start, port, recordings, n_times, is_paced))


async def _play(
    start: Callable[[], float], port: int, recordings: list[Path], n_times: int, is_paced: bool
) -> dict[str, list[Answer]]:
    answers: dict[str, list[Answer]] = {path.stem: [] for path in recordings}
    async with open_http(port) as http:
        device = Device(http, "bench")
        await _ask(device, recordings[0], is_paced=False)
        start()
        for _ in range(n_times):
            for path in recordings:
                answers[path.stem].append(await _ask(device, path, is_paced))
    return answers


async def _ask(device: Device, path: Path, is_paced: bool) -> Answer:
    speech, content_type = path.read_bytes(), CONTENT_TYPES[path.suffix.lower()]
    ended_at_s = time.monotonic()
    if is_paced:

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal ended_at_s
            async for piece in _paced(speech):
                yield piece
            ended_at_s = time.monotonic()

        uploaded = await device.upload(pieces(), content_type)
    else:
        uploaded = await device.upload(speech, content_type)
    if uploaded.status != 200:
        raise RuntimeError(f"{path.name} was refused with {uploaded.status}")
    uploaded_at_s = time.monotonic()
    first_byte_at_s = float("nan")
    while (fetched := await device.fetch()).status != 204:
        if fetched.status == 200 and first_byte_at_s != first_byte_at_s:
            first_byte_at_s = fetched.first_byte_at_s
    return Answer(
        uploaded.speech_s,
        (uploaded_at_s - ended_at_s) * 1000,
        (first_byte_at_s - ended_at_s) * 1000,
        await device.waterfall(uploaded.turn_id),
    )


async def _paced(speech: bytes) -> AsyncIterator[bytes]:
    """Yield a WAV file as fast as it plays."""
    with wave.open(io.BytesIO(speech)) as wav:
        n_pieces = max(1, round(wav.getnframes() / wav.getframerate() / PIECE_S))
    size = -(-len(speech) // n_pieces)
    begin_at_s = time.monotonic()
    for n in range(n_pieces):
        # A microphone gives a piece when it is over.
        await asyncio.sleep(max(0.0, begin_at_s + (n + 1) * PIECE_S - time.monotonic()))
        yield speech[n * size : (n + 1) * size]


if __name__ == "__main__":
    main()
