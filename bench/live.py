"""What live microphones cost, and how fast they are answered: `python -m bench.live`.

Every microphone sends sound all the time, on its own connection to /ws, and a question in it every few seconds.  Where
a question ends for the service is known beforehand, because its voice detector is asked in the same way: a reaction
runs from when the frame was sent with which the configured silence is complete until the first sound of the answer.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import psutil

from app.config import ListeningConfig
from app.settings import build_config
from bench.figures import Budget, Figures, median_of, number, quantile, report, spread, table
from bench.microphones import GRACE_S, LEAD_S, Crowd, Load, play
from bench.processes import Watch, hub_process
from bench.rounds import Client, add_options, run_in_turns, variants_of
from bench.rounds import sleep_until as wait_until
from bench.service import Variant, fakes, serve
from bench.voice import make_cycle

BUDGETS = (Budget("reaction_p95_ms", 30.0),)
PATIENCE_S = 30.0
WORDS = "what is the weather like tomorrow"
REPLY = "Fine, with some clouds. Take a coat with you."
COLUMNS = (
    "reaction_p50_ms", "reaction_p95_ms", "reaction_p99_ms", "overhead_p95_ms", "cpu_per_microphone_percent",
    "hub_cpu_percent", "client_cpu_percent", "others_cpu_percent", "client_late_p99_ms", "turns_unanswered",
)  # fmt: skip
"""Of the table over several numbers of microphones."""


def main() -> None:
    """Measure and print."""
    options = read_options()
    variants = variants_of(options, built_in(options.detector, max(options.microphones)))
    runs = run_in_turns(variants, options.rounds, lambda variant: measure_all(variant, options))
    if len(options.microphones) > 1 and options.json != "-":
        for name, of_variant in runs.items():
            print(f"\n{name}: medians by number of microphones")
            print(table(_matrix(median_of(of_variant), options.microphones)))
    report(runs, BUDGETS if len(options.microphones) == 1 else (), options.json)


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument(
        "--microphones", type=int, nargs="+", default=[50], metavar="N",
        help="microphones at once (default 50); several numbers are measured one after the other, each with a fresh "
        "service, until the p95 of the reaction has doubled or turns stay unanswered",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a run after warming up (default 30)")
    parser.add_argument("--every", type=float, default=6.0, help="seconds between a microphone's questions (default 6)")
    parser.add_argument("--talking", type=float, default=1.0, help="share of microphones at which somebody talks")
    parser.add_argument("--frame", type=int, default=20, choices=(20, 40, 60, 100), help="length of a frame, in ms")
    parser.add_argument("--detector", default="silero", choices=("silero", "webrtc"), help="voice detector")
    parser.add_argument("--room", type=float, default=-50.0, help="noise of the room, in dBFS (default -50)")
    parser.add_argument("--speech", type=Path, metavar="WAV", help="ask this instead of what flite says")
    add_options(parser)
    return parser.parse_args()


def built_in(detector: str, n_microphones: int) -> dict[str, Any]:
    """Return fakes without delay that never wait for one another: an utterance holds a place while it is spoken."""
    config = fakes()
    config["stt"] |= {"concurrency": max(8, n_microphones), "fake": {"text": WORDS}}
    config["llm"] |= {"fake": {"reply": REPLY}}
    return {**config, "listening": {"vad": detector}}


def measure_all(variant: Variant, options: argparse.Namespace) -> Figures:
    """Return the figures of one run; of several numbers of microphones with the number before each name."""
    listening = build_config(ListeningConfig, variant.config.get("listening", {}), "listening")
    cycle = make_cycle(listening, options.every, options.frame, options.room, options.speech)
    loads = [Load(n, options.talking, cycle, options.seconds) for n in options.microphones]
    if len(loads) == 1:
        return measure(variant, loads[0])
    figures: Figures = {}
    first_p95_ms = math.nan
    for load in loads:
        run = measure(variant, load)
        print(f"{load.n_microphones} microphones: p95 {run['reaction_p95_ms']:.1f} ms", file=sys.stderr)
        figures |= {f"{load.n_microphones}.{name}": value for name, value in run.items()}
        if load is loads[0]:
            first_p95_ms = run["reaction_p95_ms"]
        refused = sum(value for name, value in run.items() if name.startswith("refused_"))
        if run["reaction_p95_ms"] > 2 * first_p95_ms or run["turns_unanswered"] or refused:
            figures["doubled_at_microphones"] = load.n_microphones
            break
    return figures


def measure(variant: Variant, load: Load) -> Figures:
    """Return the figures of one run with a fresh service."""
    with serve(variant) as service:
        hub = hub_process(service.pid)
        # The detector is loaded and every stage has worked before memory is compared.
        _play_one(service.port, load)
        memory = {"before": _rss_kb(hub)}
        client = Client(play, service.port, load)
        try:
            begin_at_s = client.begin()
            memory["connected"] = _rss_kb(hub)
            watch = Watch(service.pid, client.pid)
            wait_until(begin_at_s + LEAD_S - 0.1)
            memory["listening"] = _rss_kb(hub)
            wait_until(begin_at_s + load.warm_up_s)
            watch.start()
            wait_until(begin_at_s + load.warm_up_s + load.seconds)
            used = watch.finish()
            memory["talking"] = _rss_kb(hub)
            crowd = client.result(GRACE_S + PATIENCE_S)
        finally:
            client.close()
    n = load.n_microphones
    per_session = {f"rss_{name}_kb_per_session": (kb - memory["before"]) / n for name, kb in memory.items()}
    del per_session["rss_before_kb_per_session"]
    return {**summary(crowd, load), **shares(used, n), **per_session, **used}


def _play_one(port: int, load: Load) -> None:
    client = Client(play, port, Load(1, 1.0, load.cycle, 0.0))
    try:
        client.begin()
        client.result(load.warm_up_s + GRACE_S + PATIENCE_S)
    finally:
        client.close()


def _rss_kb(process: psutil.Process) -> float:
    return process.memory_info().rss / 1000


def shares(used: Figures, n_microphones: int) -> Figures:
    """Return what one microphone costs, in percent of one core."""
    strangers = ("client", "others")
    total = sum(
        value for name, value in used.items() if name.endswith("_cpu_percent") and not name.startswith(strangers)
    )
    return {
        "cpu_per_microphone_percent": total / n_microphones,
        "hub_cpu_per_microphone_percent": used["hub_cpu_percent"] / n_microphones,
    }


def summary(crowd: Crowd, load: Load) -> Figures:
    """Return what the microphones saw of the questions that ended in the span that is measured."""
    asked = [a for a in crowd.asked if crowd.from_s <= a.decided_at_s < crowd.to_s]
    # Where the service heard an end that is none, or two questions in one, a reaction would mean nothing.
    alike = [a for a in asked if a.n_utterances <= 1 and not 0 < a.stopped_at_s < a.decided_at_s]
    answered = [a for a in alike if a.answered_at_s]
    lost_s = [PATIENCE_S] * (len(alike) - len(answered))
    figures = {
        "microphones": load.n_microphones,
        "turns_asked": len(asked),
        "turns_unanswered": len(alike) - len(answered),
        "turns_heard_otherwise": len(asked) - len(alike),
        **{f"refused_{code}": count for code, count in sorted(crowd.refused.items())},
        **spread("reaction", [a.answered_at_s - a.decided_at_s for a in answered] + lost_s),
        **spread("stopped", [a.stopped_at_s - a.decided_at_s for a in alike if a.stopped_at_s]),
        **spread("stopped_to_audio", [a.answered_at_s - a.stopped_at_s for a in answered]),
        **spread("overhead", [a.answered_at_s - a.voiced_until_s - load.cycle.silence_s for a in answered] + lost_s),
    }
    release_s = [a.decided_at_s - a.voiced_until_s - load.cycle.silence_s for a in asked]
    figures["detector_release_p50_ms"] = quantile([second * 1000 for second in release_s], 0.5)
    return {**figures, **spread("client_late", crowd.late_s)}


def _matrix(figures: Figures, numbers: list[int]) -> list[list[str]]:
    rows = [["microphones", *COLUMNS]]
    for n in numbers:
        if f"{n}.microphones" in figures:
            rows.append([str(n), *(number(figures[f"{n}.{column}"]) for column in COLUMNS)])
    return rows


if __name__ == "__main__":
    main()
