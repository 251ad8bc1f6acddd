"""How replies leave: segments claimed one by one by pollers, or a turn read as one stream."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.conversation.segments import Segment
from app.conversation.turns import Turn


@dataclass(eq=False, slots=True)
class Claim:
    """A segment, or a turn's end, that one reader is handing out; `settle` says how that went."""

    turn: Turn
    segment: Segment | None
    "None for the end of the turn."
    settle: Callable[[bool], None]
    "Called once with True when the last byte was handed over, else with False."


class Outlet:
    """The turns of a session in the order in which pollers hear them."""

    def __init__(
        self,
        lock: threading.RLock,
        on_delivered: Callable[[Turn, Segment], None],
        on_more: Callable[[], None] = lambda: None,
    ) -> None:
        # Two conditions, because a poller that woke for every chunk of audio would mostly wake for nothing.
        self._for_pollers = threading.Condition(lock)
        self._for_streams = threading.Condition(lock)
        self._on_delivered = on_delivered
        self._on_more = on_more
        self.turns: deque[Turn] = deque()
        "The line; the first is heard now."
        self._ends_under_way: set[str] = set()
        self._ended: deque[str] = deque(maxlen=32)
        "Turns whose end was told, for those who waited for it too."

    def add(self, turn: Turn, *, is_first: bool = False) -> None:
        """Put a turn at the end of the line, or at its beginning."""
        with self._for_pollers:
            if is_first:
                self.turns.appendleft(turn)
            else:
                self.turns.append(turn)
            self.more_to_take()

    def more_to_take(self) -> None:
        """Wake whoever waits, since a segment is complete or a turn has ended."""
        with self._for_pollers:
            self._for_pollers.notify_all()
            self._for_streams.notify_all()
            self._on_more()

    def more_audio(self) -> None:
        """Wake streams, since a segment has grown."""
        with self._for_streams:
            self._for_streams.notify_all()

    def drop(self, turn: Turn) -> None:
        """Take a turn out of the line without telling anyone of its end."""
        with self._for_pollers:
            if turn in self.turns:
                self.turns.remove(turn)
            self.more_to_take()

    def drop_all(self) -> None:
        """Empty the line without telling anyone, those included of which only the end is still to be told."""
        with self._for_pollers:
            self.turns.clear()
            self.more_to_take()

    @property
    def is_empty(self) -> bool:
        return not self.turns

    def wait_for_turn(self, timeout_s: float) -> Turn | None:
        """Return the turn that pollers hear now, waiting for one; None when none came in time."""
        with self._for_pollers:
            self._for_pollers.wait_for(lambda: bool(self.turns), timeout_s)
            return self.turns[0] if self.turns else None

    def claim(self, timeout_s: float, is_gone: Callable[[], bool] = lambda: False) -> Claim | None:
        """Wait for the next segment or the end of a turn; None when nothing came in time, or the poller is gone.

        Of several pollers each gets another segment; the end of a turn is told to all who waited for it.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._for_pollers:
            waited_for: Turn | None = None
            while not is_gone():
                if waited_for is not None and waited_for.id in self._ended:
                    return Claim(waited_for, None, lambda delivered: None)
                claim = self._take()
                if claim is not None:
                    return claim
                # Who comes while the end is being told has heard it already, or was never meant.
                if self.turns and self.turns[0].id not in self._ends_under_way:
                    waited_for = self.turns[0]
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return None
                self._for_pollers.wait(left_s)
            return None

    def _take(self) -> Claim | None:
        if not self.turns:
            return None
        turn = self.turns[0]
        for segment in turn.reply.waiting():
            if segment.is_claimed:
                continue
            return self.claim_segment(turn, segment) if segment.is_complete else None
        if turn.is_heard_out and turn.id not in self._ends_under_way:
            self._ends_under_way.add(turn.id)
            return Claim(turn, None, lambda delivered: self._settle_end(turn, delivered))
        return None

    def claim_again(self, turn: Turn, index: int, timeout_s: float) -> Claim | None:
        """Wait for a segment by its number and claim it, whether it was delivered or not; None when there is none."""

        def find() -> Segment | None:
            return next((s for s in turn.segments if s.index == index and s.is_settled), None)

        with self._for_pollers:
            self._for_pollers.wait_for(lambda: find() is not None or turn.end is not None, timeout_s)
            segment = find()
            if segment is None or not segment.is_complete or not segment.chunks:
                return None
            return self.claim_segment(turn, segment)

    def claim_segment(self, turn: Turn, segment: Segment) -> Claim:
        """Hand out this very segment; one that was delivered before may be handed out again."""
        with self._for_pollers:
            segment.is_claimed = True
            turn.marks.setdefault("first_fetch", time.monotonic())
        return Claim(turn, segment, lambda delivered: self.settle_segment(turn, segment, delivered))

    def settle_segment(self, turn: Turn, segment: Segment, delivered: bool) -> None:
        """Note that a segment was delivered, or that it is next in line again."""
        with self._for_pollers:
            segment.is_claimed = False
            if delivered and not segment.is_delivered:
                segment.is_delivered = True
                self._on_delivered(turn, segment)
            elif turn.cut_short and not segment.is_delivered:
                # It was being handed out when the turn was cancelled.
                segment.is_skipped, segment.is_complete = True, False
            self.more_to_take()

    def _settle_end(self, turn: Turn, delivered: bool) -> None:
        with self._for_pollers:
            self._ends_under_way.discard(turn.id)
            if delivered:
                self.close(turn)
            self.more_to_take()

    def close(self, turn: Turn) -> None:
        """Take a turn out of the line, since its end was told."""
        if turn in self.turns:
            self.turns.remove(turn)
            self._ended.append(turn.id)

    def stream(self, turn: Turn, timeout_s: float) -> Iterator[tuple[Segment, bytes]]:
        """Yield a turn's audio chunk by chunk, as it is made, until the turn ends.

        timeout_s: how long to wait for each chunk; the turn's own watchdog ends it long before in practice.
        """
        while (segment := self._wait_for_segment(turn, timeout_s)) is not None:
            delivered = False
            try:
                yield from ((segment, chunk) for chunk in self._chunks(segment, timeout_s))
                delivered = True
            finally:
                self.settle_segment(turn, segment, delivered)
        with self._for_streams:
            if turn.is_heard_out:
                self.close(turn)
                self.more_to_take()

    def _wait_for_segment(self, turn: Turn, timeout_s: float) -> Segment | None:
        """Claim the turn's next segment as soon as it has any audio; None when the turn has no more."""

        def next_segment() -> Segment | None:
            segment = next(turn.reply.waiting(), None)
            return segment if segment is not None and segment.chunks and not segment.is_claimed else None

        with self._for_streams:
            self._for_streams.wait_for(lambda: next_segment() is not None or turn.is_heard_out, timeout_s)
            segment = next_segment()
            if segment is not None:
                self.claim_segment(turn, segment)
            return segment

    def _chunks(self, segment: Segment, timeout_s: float) -> Iterator[bytes]:
        position = 0
        while True:
            with self._for_streams:
                self._for_streams.wait_for(lambda: position < len(segment.chunks) or segment.is_settled, timeout_s)  # noqa: B023
                if position >= len(segment.chunks):
                    return
                chunk = segment.chunks[position]
            position += 1
            yield chunk
