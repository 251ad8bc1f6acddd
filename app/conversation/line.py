"""The turns of one session in their order."""

from __future__ import annotations

from collections import OrderedDict, deque

from app.config import SessionConfig
from app.conversation.events import TurnFailed
from app.conversation.turns import Turn

KEPT_REPLIES = 1
"""Replies that were heard out and can still be fetched again; more would only cost memory."""


class Line:
    """Those that have not ended: the current one first, others wait behind it; and those that ended a while ago."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, Turn] = OrderedDict()
        self._open: deque[Turn] = deque()
        self._unheard: list[Turn] = []
        "What was not heard out when it was last asked for, which is far less than what is kept."
        self._with_audio: deque[Turn] = deque()

    def add(self, turn: Turn) -> bool:
        """Put a turn in line; true when it may start at once, as one that is heard over others may."""
        self._turns[turn.id] = turn
        self._unheard = [*self.unheard, turn]
        if turn.takes_over:
            self._open.appendleft(turn)
        else:
            self._open.append(turn)
        self._with_audio.append(turn)
        while len(self._with_audio) > KEPT_REPLIES + 1 and self._with_audio[0].is_heard_out:
            self._with_audio.popleft().reply.let_go()
        return self._open[0] is turn

    def find(self, turn_id: str) -> Turn | None:
        """Return a turn that is still kept."""
        return self._turns.get(turn_id)

    @property
    def current(self) -> Turn | None:
        return self._open[0] if self._open else None

    @property
    def open_turns(self) -> tuple[Turn, ...]:
        """Turns that have not ended, the current one first."""
        return tuple(self._open)

    @property
    def unheard(self) -> list[Turn]:
        """Turns that have not ended or were not heard out, in the order in which they were opened."""
        self._unheard = [turn for turn in self._unheard if not turn.is_heard_out]
        return list(self._unheard)

    def __len__(self) -> int:
        return len(self._turns)

    def end(self, turn: Turn) -> Turn | None:
        """Take a turn that has ended out of the line; return the one that is to start now."""
        if turn not in self._open:
            return None
        self._open.remove(turn)
        following = self.current
        return following if following is not None and not following.is_started else None

    def leave(self, turns: list[Turn]) -> None:
        """Take turns out of the line that are about to be cancelled, so that none of them is started."""
        for turn in turns:
            if turn in self._open:
                self._open.remove(turn)

    def overdue(self, now_s: float, config: SessionConfig) -> list[tuple[Turn, TurnFailed]]:
        """Return the turns that take too long or make no progress, and what is told of them."""
        found = []
        for turn in self._open:
            if not turn.is_started:
                continue
            if now_s - turn.marks["started"] > config.turn_timeout_s:
                text = f"the turn took longer than {config.turn_timeout_s:g} s"
                found.append((turn, TurnFailed("turn-timeout", text)))
            elif now_s - turn.last_progress_s > config.stall_timeout_s:
                found.append((turn, TurnFailed("turn-stalled", f"nothing happened for {config.stall_timeout_s:g} s")))
        return found

    def take_old(self, now_s: float, kept_s: float, heard_at_s: float) -> list[Turn]:
        """Take out turns whose time is over and whose place nothing older holds.

        heard_at_s: when something was last heard.  Speech is made faster than it is heard, so what is still to be
        heard waits from then on.
        """
        old = []
        while self._turns:
            oldest = next(iter(self._turns.values()))
            if oldest.end is None:
                break
            waits_since_s = oldest.marks["ended"]
            if not oldest.is_heard_out:
                waits_since_s = max(waits_since_s, heard_at_s)
            if now_s - waits_since_s <= kept_s:
                break
            old.append(self._turns.pop(oldest.id))
        return old
