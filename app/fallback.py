"""Retry, time limits and fallback for every backend call, so that no backend needs its own."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from app.errors import (
    BackendBusy,
    BackendError,
    BackendQuotaExhausted,
    BackendRejected,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnavailable,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
Watch = Callable[[Iterable[T]], Iterator[T]]
"""Passes on the items of a backend and keeps the time limits."""
MAX_HUNG_CALLS = 4
"""A worker with this many calls that do not come back leaves, so that the hub starts a fresh one."""


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A backend that the configuration lists."""

    name: str
    backend_class: type
    config: Any


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a backend may take, and how often it is asked."""

    first_item_timeout_s: float = 20.0
    item_timeout_s: float = 15.0
    total_timeout_s: float = 90.0
    retries: int = 1
    "How often one backend is asked again after an error that may pass."
    retry_wait_s: float = 0.5
    "Doubled at each retry; a longer Retry-After of the vendor is honoured."
    rest_s: float = 60.0
    "How long a backend with a bad key or no credits is left alone."


class Work(Protocol):
    """The part of a job that time limits need."""

    cancelled: bool
    is_complete: bool

    def on_cancel(self, callback: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class _Loaded:
    name: str
    backend: Any
    resting_until_s: float = 0.0
    reason: BackendError | None = None


@dataclass(slots=True)
class BackendChain:
    """The backends of one stage in the order of the configuration."""

    stage: str
    choices: tuple[BackendChoice, ...]
    limits: Limits
    clock: Callable[[], float] = time.monotonic
    _loaded: list[_Loaded] = field(default_factory=list)
    _hung: list[_Call] = field(default_factory=list)
    _threads: _CallThreads = field(default_factory=lambda: _CallThreads())

    def load(self) -> None:
        """Load what can be loaded, in order; raise BackendUnavailable when nothing can."""
        failures = []
        for choice in self.choices:
            backend = choice.backend_class(choice.config)
            try:
                backend.load()
            except BackendError as error:
                log.warning("%s backend %s is left out: %s", self.stage, choice.name, error.message)
                failures.append(f"{choice.name}: {error.message}")
            else:
                self._loaded.append(_Loaded(choice.name, backend))
        if self.choices and not self._loaded:
            raise BackendUnavailable(f"no {self.stage} backend could be loaded; " + "; ".join(failures))

    def close(self) -> None:
        for loaded in self._loaded:
            loaded.backend.close()

    def is_stuck(self) -> bool:
        """True when so many calls hang that only a fresh process helps."""
        self._hung = [call for call in self._hung if not call.is_over]
        return len(self._hung) >= MAX_HUNG_CALLS

    def each(self) -> Iterator[tuple[str, Any]]:
        """Yield all loaded backends with their names, for a stage that asks every one."""
        for loaded in self._loaded:
            yield loaded.name, loaded.backend

    def run(
        self,
        job: Work,
        call: Callable[[Any, Watch[Any]], Iterable[T]],
        *,
        first: str = "",
        call_first: Callable[[Any, Watch[Any]], Iterable[T]] | None = None,
        binds: Callable[[T], bool] = lambda item: True,
    ) -> Iterator[T]:
        """Yield the items of the first backend that gives any.

        call(backend, watched): makes the items, with the backend's iterator in `watched`, which keeps the time limits.
        first: name of a backend that is asked before the others, by `call_first` where that is given.
        After the first item that `binds` has left, an error is final: what was given cannot be taken back.
        """
        failure: BackendError = BackendUnavailable(f"no {self.stage} backend is loaded")
        give_up_at_s = self.clock() + self.limits.total_timeout_s
        in_order = sorted(self._loaded, key=lambda loaded: loaded.name != first)
        for loaded in in_order:
            make = call_first if call_first is not None and loaded.name == first else call
            for attempt in range(self.limits.retries + 1):
                if (failure_or_none := self._resting(loaded)) is not None:
                    failure = failure_or_none
                    break
                given = False
                try:
                    for item in make(loaded.backend, lambda items: self.watched(items, job, give_up_at_s)):
                        given = given or binds(item)
                        yield item
                    return
                except BackendError as error:
                    failure = error
                except Exception as error:
                    log.exception("%s backend %s crashed", self.stage, loaded.name)
                    failure = BackendRejected(
                        f"{loaded.name} crashed with {type(error).__name__}", code="backend-crashed"
                    )
                if given or job.cancelled:
                    raise failure
                self._note(loaded, failure)
                if isinstance(failure, BackendTimeout) and loaded is not in_order[-1]:
                    # The user has waited long enough for this one.
                    break
                if not self._wait_for_retry(failure, attempt, give_up_at_s, job):
                    break
        raise failure

    def _resting(self, loaded: _Loaded) -> BackendError | None:
        return loaded.reason if self.clock() < loaded.resting_until_s else None

    def _note(self, loaded: _Loaded, error: BackendError) -> None:
        log.warning("%s backend %s failed: %s: %s", self.stage, loaded.name, error.code, error.message)
        if isinstance(error, (BackendUnauthorized, BackendQuotaExhausted)):
            loaded.resting_until_s = self.clock() + self.limits.rest_s
            loaded.reason = error

    def _wait_for_retry(self, error: BackendError, attempt: int, give_up_at_s: float, job: Work) -> bool:
        """Wait as long as the retry should; false when it makes no sense."""
        wait_s = self.limits.retry_wait_s * 2**attempt
        if isinstance(error, BackendBusy) and error.retry_after_s is not None:
            wait_s = max(wait_s, error.retry_after_s)
        if not error.retryable or attempt == self.limits.retries or self.clock() + wait_s >= give_up_at_s:
            return False
        cancelled = threading.Event()
        job.on_cancel(cancelled.set)
        return not cancelled.wait(wait_s)

    def watched(self, items: Iterable[T], job: Work, give_up_at_s: float = math.inf) -> Iterator[T]:
        """Yield the items; raise BackendTimeout when one is late, counted from the end of the utterance."""
        call = _Call(items)
        job.on_cancel(call.wake)
        self._threads.run(call)
        wait_s, asked_at_s = self.limits.first_item_timeout_s, self.clock()
        try:
            while not job.cancelled:
                now_s = self.clock()
                if not job.is_complete:
                    asked_at_s = now_s
                left_s = min(asked_at_s + wait_s, give_up_at_s) - now_s
                try:
                    kind, value = call.results.get(timeout=max(0.0, min(left_s, 1.0)))
                except queue.Empty:
                    if left_s <= 0:
                        self._hung.append(call)
                        raise BackendTimeout(f"the {self.stage} backend gave nothing for {wait_s:g} s") from None
                    continue
                if kind == "item":
                    yield value
                    wait_s, asked_at_s = self.limits.item_timeout_s, self.clock()
                elif kind == "error":
                    raise value
                elif kind == "end":
                    return
        finally:
            call.stopped = True


class _Call:
    """Runs a backend's iterator in a thread of its own, because a hanging call cannot be interrupted from inside."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.results: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.stopped = False
        self.is_over = False
        self._items = items

    def wake(self) -> None:
        self.results.put(("wake", None))

    def pump(self) -> None:
        """Call the backend and pass on what it gives."""
        try:
            for item in self._items:
                if self.stopped:
                    break
                self.results.put(("item", item))
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            self.results.put(("end", None))
        except BaseException as error:
            self.results.put(("error", error))
        finally:
            self.is_over = True


class _CallThreads:
    """Threads for calls, kept for the next one: to start one takes longer than many a step of a turn."""

    def __init__(self) -> None:
        self._idle: deque[queue.SimpleQueue[_Call]] = deque()

    def run(self, call: _Call) -> None:
        """Make the call in a thread that is idle, or in a new one."""
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(inbox,), name="backend-call", daemon=True).start()
        inbox.put(call)

    def _work(self, inbox: queue.SimpleQueue[_Call]) -> None:
        while True:
            inbox.get().pump()
            self._idle.append(inbox)
