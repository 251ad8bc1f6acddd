"""Kitchen timers of one session: set by a reply, rung by the hub."""

from __future__ import annotations

from dataclasses import dataclass

from app.messages import RunningTimer


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
