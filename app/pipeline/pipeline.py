"""The hub's side of the stages: one thread that starts them, hears them and hands out what they give."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.errors import StageUnavailable
from app.messages import Message, UtteranceChunk
from app.metrics import Metrics
from app.pipeline.jobs import HubJob, Sink
from app.pipeline.pool_settings import PoolSettings
from app.pipeline.wiring import STEPS
from app.pipeline.workers import StagePool
from app.stage import Stage

log = logging.getLogger(__name__)
TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage as the configuration wants it."""

    stage: Stage
    pool: PoolSettings


class Ticket:
    """What the conversation holds of work it has submitted."""

    def __init__(self, parts: list[tuple[StagePool, HubJob]]) -> None:
        self._parts = parts

    def feed(self, chunk: UtteranceChunk) -> None:
        """Add speech to an utterance that is still arriving."""
        for pool, job in self._parts:
            pool.feed(job, chunk)

    def cancel(self) -> None:
        """Drop the work; nothing of it is delivered any more."""
        for pool, job in self._parts:
            pool.cancel(job)


class Pipeline:
    """All stages.  `submit` may be called from any thread; sinks are called from the pipeline's own."""

    def __init__(self, specs: Mapping[str, StageSpec], metrics: Metrics) -> None:
        self.steps = [step for step in STEPS if step.stage.name in specs]
        self.pools = {
            step.stage.name: StagePool(
                specs[step.stage.name].stage, specs[step.stage.name].pool, metrics, streams=step.streams
            )
            for step in self.steps
        }
        self._on_tick: list[Callable[[], None]] = []
        self._next_tick_s = 0.0
        self._followed: list[object] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)

    def start(self) -> None:
        """Start the workers; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the workers, last step first."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(self, message: Message, sink: Sink) -> Ticket:
        """Queue the message for every step that takes it; raises StageUnavailable when one cannot take more."""
        parts: list[tuple[StagePool, HubJob]] = []
        for step in self.steps:
            if isinstance(message, step.takes):
                pool = self.pools[step.stage.name]
                try:
                    parts.append((pool, pool.submit(message, sink)))
                except StageUnavailable:
                    Ticket(parts).cancel()
                    raise
        return Ticket(parts)

    def every_tick(self, callback: Callable[[], None]) -> None:
        """Call `callback` about four times a second from the pipeline's thread."""
        self._on_tick.append(callback)

    @property
    def is_ready(self) -> bool:
        return all(pool.is_ready for pool in self.pools.values())

    @property
    def takes_work(self) -> bool:
        """True when every stage can work, or will soon again."""
        return all(pool.takes_work for pool in self.pools.values())

    def expected_wait_s(self) -> float:
        """Guess how long new work would wait at the slowest stage."""
        return max(pool.expected_wait_s() for pool in self.pools.values())

    def failures(self) -> dict[str, str]:
        """Return why stages could not load, by stage."""
        return {name: pool.failure for name, pool in self.pools.items() if pool.failure}

    def status(self) -> dict[str, object]:
        return {name: pool.status() for name, pool in self.pools.items()}

    def _run(self) -> None:
        for pool in self.pools.values():
            pool.start()
        try:
            with selectors.DefaultSelector() as selector:
                while not self._stop.is_set():
                    self._turn_once(selector)
        except Exception:
            # Without this thread nothing is ever answered again; the server's own watchdog starts a new hub.
            log.critical("the pipeline has a fault and the hub leaves", exc_info=True)
            os._exit(70)
        finally:
            for pool in reversed(self.pools.values()):
                pool.stop()
            self._followed.clear()

    def _turn_once(self, selector: selectors.BaseSelector) -> None:
        for key, _ in selector.select(TICK_S):
            pool, worker = key.data
            pool.on_readable(worker)
        now_s = time.monotonic()
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + TICK_S
            for pool in self.pools.values():
                pool.tick()
            for callback in self._on_tick:
                callback()
        self._follow_workers(selector)

    def _follow_workers(self, selector: selectors.BaseSelector) -> None:
        """Listen to exactly the workers that there are."""
        workers = [(pool, worker) for pool in self.pools.values() for worker in pool.workers]
        if [worker for _, worker in workers] == self._followed:
            return
        for key in list(selector.get_map().values()):
            selector.unregister(key.fd)
        for pool, worker in workers:
            # By number, because a dead worker's pipe is closed already when it is taken out again.
            selector.register(worker.link.outbox.fileno(), selectors.EVENT_READ, (pool, worker))
        self._followed = [worker for _, worker in workers]
