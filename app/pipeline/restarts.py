"""When a dead worker's successor starts: at once, or after a wait that doubles with every early death."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_WAIT_S = 0.25
MAX_WAIT_S = 30.0
HEALTHY_AFTER_S = 30.0
"""A worker that lived this long did not die of its start."""


@dataclass(slots=True)
class Restarts:
    """The restarts of one stage's workers; times are on the caller's clock."""

    was_ready: bool = False
    "Some worker of the stage has been ready before."
    _early_deaths: int = 0
    _due_at_s: list[float] = field(default_factory=list)

    def plan(self, lived_s: float, now_s: float) -> float:
        """Plan the successor of a worker that lived so long; return the wait."""
        self._early_deaths = 0 if lived_s >= HEALTHY_AFTER_S else self._early_deaths + 1
        wait_s = 0.0 if self._early_deaths <= 1 else min(FIRST_WAIT_S * 2 ** (self._early_deaths - 2), MAX_WAIT_S)
        self._due_at_s.append(now_s + wait_s)
        return wait_s

    def take_due(self, now_s: float) -> int:
        """Return how many workers are to be started now, and forget them."""
        n_planned = len(self._due_at_s)
        self._due_at_s = [at_s for at_s in self._due_at_s if at_s > now_s]
        return n_planned - len(self._due_at_s)

    def are_due_by(self, at_s: float) -> bool:
        """True when no planned restart is later than that."""
        return all(due_s <= at_s for due_s in self._due_at_s)
