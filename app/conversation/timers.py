"""Kitchen timers of one session: set by a reply, rung by the hub."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.conversation.events import Fact, TimersCancelled, TimerSet
from app.messages import Action, RunningTimer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timer:
    """One timer."""

    name: str
    duration_s: float
    rings_at_s: float
    "On the monotonic clock."


class Timers:
    """The running timers, few and in no order."""

    def __init__(self, max_timers: int, max_duration_s: float) -> None:
        self._max_timers = max_timers
        self._max_duration_s = max_duration_s
        self._timers: list[Timer] = []

    def __len__(self) -> int:
        return len(self._timers)

    def set(self, name: str, duration_s: float, now_s: float) -> bool:
        """Start a timer; false when there are too many or it would ring too late."""
        if len(self._timers) >= self._max_timers or not 0 < duration_s <= self._max_duration_s:
            return False
        self._timers.append(Timer(name, duration_s, now_s + duration_s))
        return True

    def carry_out(self, action: Action, now_s: float) -> Fact | None:
        """Do what a reply asks for; return what came of it, None when nothing did."""
        name = str(action.arguments.get("name", ""))
        if action.name == "set-timer":
            duration_s = float(str(action.arguments["duration_s"]))
            return TimerSet(name, duration_s) if self.set(name, duration_s, now_s) else None
        if action.name == "cancel-timers":
            return TimersCancelled(self.cancel(name))
        log.error("the reply asks for an action %r that is not known", action.name)
        return None

    def cancel(self, name: str = "") -> int:
        """Stop the timers of that name, or all when no name is given; return how many."""
        before = len(self._timers)
        self._timers = [timer for timer in self._timers if name and timer.name != name]
        return before - len(self._timers)

    def due(self, now_s: float) -> list[Timer]:
        """Take out and return the timers that ring now."""
        due = [timer for timer in self._timers if timer.rings_at_s <= now_s]
        if due:
            self._timers = [timer for timer in self._timers if timer.rings_at_s > now_s]
        return due

    def running(self, now_s: float) -> tuple[RunningTimer, ...]:
        """Return the timers as a prompt tells them."""
        return tuple(RunningTimer(t.name, t.duration_s, max(0.0, t.rings_at_s - now_s)) for t in self._timers)
