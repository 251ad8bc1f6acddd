"""How many workers a stage has, and how patient the hub is with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The settings of one stage's pool of workers."""

    workers: int = 1
    concurrency: int = 1
    "Jobs at once in one worker."
    max_queue: int = 256
    max_attempts: int = 5
    "A job that was lost with this many workers is given up: it may be what kills them."
    ping_every_s: float = 5.0
    pong_timeout_s: float = 60.0
    "Recognisers hold the interpreter for seconds; a worker silent for longer than this is killed."
    patience_s: float = 5.0
    "New work is taken while a dead worker's successor is expected within this time."
    stop_timeout_s: float = 3.0
