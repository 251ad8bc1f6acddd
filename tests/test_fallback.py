"""Retry, time limits and fallback, with scripted backends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.errors import (
    BackendBusy,
    BackendError,
    BackendQuotaExhausted,
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
)
from app.fallback import MAX_HUNG_CALLS, BackendChain, BackendChoice, Limits, Watch


@dataclass
class Script:
    """What a scripted backend does, call by call: a list of items and errors; the last entry is repeated."""

    calls: list[list[Any]]
    fails_to_load: bool = False
    n_calls: int = 0
    is_closed: bool = False


class ScriptedBackend:
    """Gives what its script says; `hang` waits until the test lets go."""

    release = threading.Event()

    def __init__(self, script: Script) -> None:
        self.script = script

    def load(self) -> None:
        if self.script.fails_to_load:
            raise BackendUnavailable("not installed here")

    def items(self) -> Iterator[str]:
        self.script.n_calls += 1
        return self._play(self.script.calls[min(self.script.n_calls, len(self.script.calls)) - 1])

    def _play(self, call: list[Any]) -> Iterator[str]:
        for item in call:
            if item == "hang":
                self.release.wait(30)
            elif isinstance(item, Exception):
                raise item
            else:
                yield item

    def close(self) -> None:
        self.script.is_closed = True


@pytest.fixture(autouse=True)
def _release() -> Iterator[None]:
    """Let the calls that hang go at the end of each test."""
    ScriptedBackend.release = threading.Event()
    yield
    ScriptedBackend.release.set()


@dataclass
class Work:
    """The part of a job that limits need."""

    cancelled: bool = False
    is_complete: bool = True
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def on_cancel(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def cancel(self) -> None:
        self.cancelled = True
        for callback in self.callbacks:
            callback()


def chain(*scripts: Script, **limits: Any) -> BackendChain:
    """Return a loaded chain of backends that never waits before a retry."""
    choices = tuple(BackendChoice(f"b{i}", ScriptedBackend, script) for i, script in enumerate(scripts))
    made = BackendChain("llm", choices, Limits(**{"retry_wait_s": 0.0, **limits}))
    made.load()
    return made


def start(made: BackendChain, work: Work) -> Iterator[str]:
    def call(backend: ScriptedBackend, watched: Callable[[Iterable[str]], Iterator[str]]) -> Iterable[str]:
        return watched(backend.items())

    return made.run(work, call)


def run(made: BackendChain, work: Work | None = None) -> list[str]:
    return list(start(made, work or Work()))


def test_the_first_backend_answers() -> None:
    """Nobody else is asked when the first one works."""
    second = Script([["no"]])
    assert run(chain(Script([["a", "b"]]), second)) == ["a", "b"]
    assert second.n_calls == 0


def test_a_preferred_backend_is_asked_first() -> None:
    """It is asked in its own way, and when it fails the others are asked in their order."""
    scripts = Script([["a"]]), Script([[BackendRejected("no")]])
    made = chain(*scripts)
    asked = []

    def call(way: str) -> Callable[[ScriptedBackend, Watch[str]], Iterable[str]]:
        def ask(backend: ScriptedBackend, watched: Watch[str]) -> Iterable[str]:
            asked.append((way, scripts.index(backend.script)))
            return watched(backend.items())

        return ask

    assert list(made.run(Work(), call("any"), first="b1", call_first=call("first"))) == ["a"]
    assert list(made.run(Work(), call("any"), first="not there", call_first=call("first"))) == ["a"]
    assert asked == [("first", 1), ("any", 0), ("any", 0)]


def test_an_error_that_may_pass_is_tried_again() -> None:
    """A retryable error costs one more call of the same backend."""
    script = Script([[BackendUnavailable("down")], ["a"]])
    assert run(chain(script)) == ["a"]
    assert script.n_calls == 2


def test_an_error_that_will_not_pass_goes_on_to_the_next() -> None:
    """A refusal is never tried again; the next backend is asked."""
    first = Script([[BackendRejected("no")]])
    assert run(chain(first, Script([["b"]]))) == ["b"]
    assert first.n_calls == 1


def test_a_crash_counts_as_a_refusal() -> None:
    """A fault in a backend does not end the stage."""
    assert run(chain(Script([[ZeroDivisionError()]]), Script([["b"]]))) == ["b"]


def test_what_was_given_cannot_be_taken_back() -> None:
    """After the first item an error is final: another backend would say it all again."""
    second = Script([["b"]])
    with pytest.raises(BackendUnavailable):
        run(chain(Script([["a", BackendUnavailable("lost")]]), second))
    assert second.n_calls == 0


def test_what_binds_nobody_is_followed_by_another_try() -> None:
    """An item that may still change lets a failing backend be asked again, and the next one after it."""
    made = chain(Script([["may change", BackendUnavailable("down")]]), Script([["final"]]), retries=1, retry_wait_s=0.0)
    items = made.run(Work(), lambda backend, watched: watched(backend.items()), binds=lambda item: item == "final")
    assert list(items) == ["may change", "may change", "final"]


def test_the_last_error_is_told() -> None:
    """When every backend fails the caller hears of the last one."""
    with pytest.raises(BackendRejected, match="second"):
        run(chain(Script([[BackendUnavailable("first")]]), Script([[BackendRejected("second")]])))


def test_no_credits_is_never_asked_for_again() -> None:
    """A backend without credits rests; only after that time it is probed once more."""
    now = [100.0]
    script = Script([[BackendQuotaExhausted("no credits")], ["a"]])
    made = chain(script, rest_s=60)
    made.clock = lambda: now[0]
    for _ in range(3):
        with pytest.raises(BackendQuotaExhausted):
            run(made)
    assert script.n_calls == 1
    now[0] += 61
    assert run(made) == ["a"]


def test_a_backend_that_hangs_is_left() -> None:
    """The first item has a time limit, and the next backend answers."""
    now_s, asked = itertools.count(), []
    made = chain(Script([["hang"]]), Script([["b"]]), first_item_timeout_s=0.01, retries=0)
    made.clock = lambda: 50.0 if len(asked) > 1 else next(now_s)  # time stands still for the second

    def ask(backend: Any, watched: Any) -> Any:
        asked.append(backend)
        return watched(backend.items())

    assert list(made.run(Work(), ask)) == ["b"]


def test_a_backend_that_was_late_is_not_asked_again_while_there_is_another() -> None:
    """After a whole time limit the user should not wait for the same backend once more."""
    hanging = Script([["hang"]])
    try:
        assert run(chain(hanging, Script([["b"]]), first_item_timeout_s=0.02, retries=3)) == ["b"]
        assert hanging.n_calls == 1
    finally:
        ScriptedBackend.release.set()
        ScriptedBackend.release = threading.Event()


def test_a_pause_between_items_has_its_own_limit() -> None:
    """Silence in the middle of a reply ends it with a timeout."""
    with pytest.raises(BackendTimeout):
        run(chain(Script([["a", "hang"]]), item_timeout_s=0.02))


def test_many_hanging_calls_ask_for_a_fresh_process() -> None:
    """A worker full of calls that never come back says that it is stuck."""
    made = chain(Script([["hang"]]), first_item_timeout_s=0.01, retries=0)
    for _ in range(MAX_HUNG_CALLS):
        assert not made.is_stuck()
        with pytest.raises(BackendTimeout):
            run(made)
    assert made.is_stuck()


def test_speech_that_is_still_arriving_has_no_time_limit() -> None:
    """The limit for the first item runs from the end of the utterance."""
    now_s = itertools.count()
    made = chain(Script([["hang", "a"]]), first_item_timeout_s=0.01, total_timeout_s=1e9)

    def clock() -> float:
        """Let a second pass at each look, and speech end after several."""
        if (looked_at_s := next(now_s)) == 9:
            ScriptedBackend.release.set()
        return looked_at_s

    made.clock = clock
    assert run(made, Work(is_complete=False)) == ["a"]


def test_cancelling_wakes_a_waiting_call() -> None:
    """A cancelled job ends although its backend gives nothing."""
    work = Work()
    items = start(chain(Script([["a", "hang"]])), work)
    assert next(items) == "a"
    threading.Timer(0.01, work.cancel).start()
    assert list(items) == []


def test_a_vendor_that_names_a_time_beyond_the_deadline_is_left() -> None:
    """A Retry-After longer than the job may take is no reason to wait."""
    first = Script([[BackendBusy("slow down", retry_after_s=1000)]])
    assert run(chain(first, Script([["b"]]))) == ["b"]
    assert first.n_calls == 1


def test_backends_that_do_not_load_are_left_out() -> None:
    """The next in the list takes over; with none left the stage cannot load."""
    assert run(chain(Script([["a"]], fails_to_load=True), Script([["b"]]))) == ["b"]
    with pytest.raises(BackendError, match="b0: not installed here"):
        chain(Script([["a"]], fails_to_load=True))


def test_closing_closes_all() -> None:
    """Every loaded backend is closed."""
    scripts = [Script([[]]), Script([[]])]
    chain(*scripts).close()
    assert all(script.is_closed for script in scripts)
