"""A thread for what may wait: one step after the other, until it is stopped."""

from __future__ import annotations

import logging
import threading

from clients.device.health import Backoff

log = logging.getLogger("earshot.device")

FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 300.0
"""After a fault."""


class Worker:
    """Those who follow it say what a step is."""

    def __init__(self, name: str) -> None:
        self.is_stopping = False
        self._name = name
        self._has_news = threading.Event()
        self._faults = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def step(self) -> float:
        """Do what is due; return how long there is nothing to do, in seconds."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def wake(self) -> None:
        """Let the next step begin at once; never waits."""
        self._has_news.set()

    def stop(self) -> None:
        """End when the step in progress is over."""
        self.is_stopping = True
        self.wake()

    def _run(self) -> None:
        while not self.is_stopping:
            self._has_news.wait(self._try_step())
            # Before the step: what comes during it is for the next.
            self._has_news.clear()

    def _try_step(self) -> float:
        try:
            wait_s = self.step()
        except Exception:
            # A fault of ours must not make the device mute for good.
            log.exception("a fault of the %s; it goes on", self._name)
            return self._faults.failed()
        self._faults.worked()
        return wait_s
