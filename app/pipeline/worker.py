"""The inside of a stage worker's process, which loads nothing that only the hub needs."""

from __future__ import annotations

import logging
import signal

from app.messages import Header, StageFailed
from app.pipeline.links import WorkerEnd
from app.stage import Stage, run_worker

log = logging.getLogger(__name__)


def work(stage: Stage, link: WorkerEnd, concurrency: int, log_level: int) -> None:
    """Be a stage worker until the hub says stop or is gone."""
    # The hub decides when workers leave: an interrupt at the terminal must not end them before open turns have ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=log_level, format="%(asctime)s %(processName)s %(levelname)s %(message)s")
    _name_process(f"voice-{stage.name}")
    link.open()
    try:
        run_worker(stage, link, concurrency)
    except (BrokenPipeError, EOFError):
        # The hub has left; so does its worker.
        raise SystemExit(0) from None
    except Exception as error:
        reason = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        log.exception("the %s worker cannot go on", stage.name)
        link.send(0, StageFailed(Header("", ""), stage.name, "stage-failed", reason))
        raise SystemExit(1) from None


def _name_process(name: str) -> None:
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
    except OSError:
        pass  # not Linux: the process keeps its name
