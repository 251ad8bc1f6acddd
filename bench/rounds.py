"""Runs in turns, each with a fresh service, and the client in a process of its own."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.figures import Figures
from bench.service import Variant

T = TypeVar("T")
CLIENT_START_TIMEOUT_S = 120.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all measurements share."""
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant, taken in turns (default 3)")
    parser.add_argument("--config", metavar="FILE", help="measure this configuration instead of the built-in one")
    parser.add_argument("--against", metavar="FILE", help="measure a second configuration too, and print the ratios")
    parser.add_argument("--against-root", metavar="DIR", help="serve the second variant from another checkout")
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON; - for standard output, no table")


def variants_of(options: argparse.Namespace, built_in: dict[str, Any]) -> list[Variant]:
    """Return the one or two services that the options ask for."""
    config = _read(options.config) if options.config else built_in
    variants = [Variant("first", config)]
    if options.against or options.against_root:
        second = _read(options.against) if options.against else config
        root = Path(options.against_root).resolve() if options.against_root else variants[0].root
        variants.append(Variant("second", second, root))
    return variants


def run_in_turns(
    variants: list[Variant], n_rounds: int, measure: Callable[[Variant], Figures]
) -> dict[str, list[Figures]]:
    """Measure each variant once a round, so that what disturbs the machine disturbs them alike."""
    runs: dict[str, list[Figures]] = {variant.name: [] for variant in variants}
    for number in range(n_rounds):
        for variant in variants:
            print(f"round {number + 1} of {n_rounds}: {variant.name}", file=sys.stderr)
            runs[variant.name].append(measure(variant))
    return runs


class Client(Generic[T]):
    """A function that plays devices, in a process of its own: its CPU time is not the service's.

    play(start, *args): calls `start()` when its devices are ready; that returns the monotonic time at which to begin.
    """

    def __init__(self, play: Callable[..., T], *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_play, args=(there, play, args), daemon=True)
        self._process.start()
        there.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def begin(self, delay_s: float = 0.2) -> float:
        """Wait until the devices are ready and let them begin; return the monotonic time at which they do."""
        self._expect(CLIENT_START_TIMEOUT_S)
        begin_at_s = time.monotonic() + delay_s
        self._here.send(begin_at_s)
        return begin_at_s

    def result(self, timeout_s: float) -> T:
        """Wait for what the devices have seen."""
        seen: T = self._expect(timeout_s)
        return seen

    def close(self) -> None:
        """End the process."""
        self._process.join(1.0)
        self._process.kill()
        self._process.join()

    def _expect(self, timeout_s: float) -> Any:
        if not self._here.poll(timeout_s):
            raise RuntimeError(f"the client said nothing for {timeout_s:g} s")
        try:
            return self._here.recv()
        except EOFError:
            raise RuntimeError("the client has ended too early; its error stands above") from None


def sleep_until(at_s: float) -> None:
    """Sleep until a monotonic time."""
    time.sleep(max(0.0, at_s - time.monotonic()))


def _play(there: Connection, play: Callable[..., T], args: tuple[Any, ...]) -> None:
    def start() -> float:
        there.send("ready")
        begin_at_s: float = there.recv()
        return begin_at_s

    there.send(play(start, *args))


def _read(path: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return tree
