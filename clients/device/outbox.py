"""Which utterances wait to be sent, and when the next try is due.  Pure: the caller has the clock."""

from __future__ import annotations

from dataclasses import dataclass

from clients.device.health import Backoff
from clients.device.settings import ServerSettings
from clients.device.utterance import Utterance

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0


@dataclass(slots=True)
class Kept:
    """An utterance that is to be sent."""

    utterance: Utterance
    since_s: float
    interrupts: bool
    "Whether it ends what is in progress: a new question does, an old one waits in line."


class Outbox:
    """Utterances in the order in which they were spoken; bounded in number and age."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._kept: list[Kept] = []
        self._due_s = 0.0
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, utterance: Utterance, now_s: float) -> int:
        """Keep an utterance, which is tried at once; return how many had to go for it."""
        self._kept.append(Kept(utterance, now_s, interrupts=not self._kept))
        self._due_s = now_s
        n_gone = max(0, len(self._kept) - self.settings.keep_utterances)
        del self._kept[:n_gone]
        return n_gone

    def due(self, now_s: float) -> Kept | None:
        """Return what should be sent now."""
        return self._kept[0] if self._kept and now_s >= self._due_s else None

    def wait_s(self, now_s: float) -> float:
        """Return how long there is nothing to do."""
        return max(0.0, self._due_s - now_s) if self._kept else 3600.0

    def sent(self, kept: Kept) -> None:
        """The service has it, or will never take it."""
        self._forget(kept)
        self._backoff.worked()

    def failed(self, kept: Kept, now_s: float, wait_s: float = 0.0, was_complete: bool = False) -> bool:
        """Try again later; return whether it is still kept.

        wait_s: what the service asked for; was_complete: whether the service may have it all the same, so that the next
        try must end the turn of this one.
        """
        kept.interrupts = was_complete
        self._due_s = now_s + max(wait_s, self._backoff.failed())
        if self._due_s - kept.since_s > self.settings.keep_s:
            self._forget(kept)
        return kept in self._kept

    def _forget(self, kept: Kept) -> None:
        if kept in self._kept:
            self._kept.remove(kept)
