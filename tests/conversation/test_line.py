"""The turns of a session in their order."""

from __future__ import annotations

from app.conversation.events import TurnDone
from app.conversation.line import Line
from app.conversation.turns import Turn


class WatchedTurn(Turn):
    """Counts how often somebody looks at it."""

    n_looks = 0

    @property
    def is_heard_out(self) -> bool:
        self.n_looks += 1
        return super().is_heard_out


def test_what_was_heard_is_looked_at_no_more() -> None:
    """A client that interrupts a hundred times a second costs the same after minutes: its turns are still kept."""
    line = Line()
    turns = [WatchedTurn(str(n), "kitchen", "typed", True, lambda fact: None, 0.0) for n in range(50)]
    for turn in turns:
        line.add(turn)
        turn.finish(TurnDone())
        line.end(turn)
        assert line.unheard == []
    n_looks = turns[0].n_looks
    assert line.unheard == []
    assert turns[0].n_looks == n_looks
    assert len(line) == 50
