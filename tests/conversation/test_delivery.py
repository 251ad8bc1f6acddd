"""Segments claimed by pollers and turns read as a stream."""

from __future__ import annotations

import threading

import pytest

from app.conversation.delivery import Outlet
from app.conversation.events import TurnDone
from app.conversation.segments import Segment
from app.conversation.turns import Turn


@pytest.fixture
def lock() -> threading.RLock:
    return threading.RLock()


@pytest.fixture
def outlet(lock: threading.RLock) -> Outlet:
    return Outlet(lock, lambda turn, segment: None)


def turn_of(*texts: str, is_over: bool = True) -> Turn:
    """Return a turn whose segments are all spoken."""
    turn = Turn("t", "s", "heard", True, lambda fact: None, 0.0)
    for i, text in enumerate(texts):
        turn.segments.append(Segment(i, text, [text.encode()], 16_000, is_complete=True))
    if is_over:
        turn.finish(TurnDone())
    return turn


def test_segments_come_in_order_then_the_end(outlet: Outlet) -> None:
    """A poller hears each sentence once and the end once."""
    outlet.add(turn_of("a", "b"))
    got = []
    while (claim := outlet.claim(0)) is not None:
        got.append(claim.segment.text if claim.segment else "end")
        claim.settle(True)
    assert got == ["a", "b", "end"]


def test_two_pollers_never_get_the_same_segment(outlet: Outlet) -> None:
    """While one transfer is under way the next claim is the next segment, and there is no end yet."""
    outlet.add(turn_of("a", "b"))
    first, second = outlet.claim(0), outlet.claim(0)
    assert first is not None
    assert second is not None
    assert [first.segment.text, second.segment.text] == ["a", "b"]  # type: ignore[union-attr]
    assert outlet.claim(0) is None
    first.settle(True)
    second.settle(True)
    end = outlet.claim(0)
    assert end is not None
    assert end.segment is None


def test_a_broken_transfer_is_next_in_line(outlet: Outlet) -> None:
    """A segment that did not arrive is given again before the others."""
    outlet.add(turn_of("a", "b"))
    claim = outlet.claim(0)
    assert claim is not None
    claim.settle(False)
    again = outlet.claim(0)
    assert again is not None
    assert again.segment is claim.segment


def test_an_end_that_did_not_arrive_is_told_again(outlet: Outlet) -> None:
    """The turn stays in line until its end was handed over."""
    outlet.add(turn_of())
    for delivered in (False, True):
        claim = outlet.claim(0)
        assert claim is not None
        assert claim.segment is None
        claim.settle(delivered)
    assert outlet.claim(0) is None


def test_all_who_wait_are_told_of_the_end(outlet: Outlet, lock: threading.RLock) -> None:
    """Two pollers that wait for one turn both learn that it is over."""
    turn = turn_of("a", is_over=False)
    turn.segments[0].is_delivered = True
    outlet.add(turn)
    got = []
    looks = threading.Semaphore(0)

    def is_gone() -> bool:
        """Tell that a poller has the lock, and is about to wait without it."""
        looks.release()
        return False

    def poll() -> None:
        claim = outlet.claim(20, is_gone)
        assert claim is not None
        got.append(claim.segment)
        claim.settle(True)

    pollers = [threading.Thread(target=poll) for _ in range(2)]
    for poller in pollers:
        poller.start()
    for _ in pollers:
        assert looks.acquire(timeout=20)
    with lock:
        turn.finish(TurnDone())
        outlet.more_to_take()
    for poller in pollers:
        poller.join(20)
    assert got == [None, None]


def test_who_asks_while_the_end_is_told_gets_what_follows(outlet: Outlet) -> None:
    """A quick device asks again before the server knows that the end has arrived; it must not hear the end twice."""
    outlet.add(turn_of())
    end = outlet.claim(0)
    assert end is not None
    got, is_waiting = [], threading.Event()

    def ask_again() -> None:
        claim = outlet.claim(30, lambda: is_waiting.set() or False)  # type: ignore[func-returns-value]
        got.append(claim.segment.text if claim and claim.segment else "end")

    poller = threading.Thread(target=ask_again)
    poller.start()
    is_waiting.wait()
    end.settle(True)
    following = turn_of("next")
    following.id = "u"
    outlet.add(following)
    poller.join()
    assert got == ["next"]


def test_a_sentence_that_is_still_spoken_is_waited_for(outlet: Outlet) -> None:
    """Pollers never get a later sentence before an earlier one."""
    turn = turn_of("a", "b", is_over=False)
    turn.segments[0].is_complete = False
    outlet.add(turn)
    assert outlet.claim(0) is None
    turn.segments[0].is_complete = True
    claim = outlet.claim(0)
    assert claim is not None
    assert claim.segment is turn.segments[0]


def test_turns_are_heard_in_their_order(outlet: Outlet) -> None:
    """The second turn's audio waits for the end of the first."""
    first, second = turn_of("a"), turn_of("b")
    second.id = "t2"
    outlet.add(first)
    outlet.add(second)
    got = []
    while (claim := outlet.claim(0)) is not None:
        got.append((claim.turn.id, claim.segment.text if claim.segment else "end"))
        claim.settle(True)
    assert got == [("t", "a"), ("t", "end"), ("t2", "b"), ("t2", "end")]


def test_a_dropped_turn_is_silent(outlet: Outlet) -> None:
    """Nothing of a dropped turn is heard, not even its end."""
    turn = turn_of("a")
    outlet.add(turn)
    outlet.drop(turn)
    assert outlet.claim(0) is None
    assert outlet.is_empty


def test_a_stream_gives_audio_as_it_is_made(outlet: Outlet) -> None:
    """Chunks of a sentence leave before it is complete; everything counts as delivered at its end."""
    turn = turn_of("a", is_over=False)
    segment = turn.segments[0]
    segment.is_complete = False
    outlet.add(turn)
    chunks = outlet.stream(turn, timeout_s=20)
    assert next(chunks) == (segment, b"a")
    assert segment.was_begun
    assert not segment.is_delivered
    segment.add(b"bb", 16_000)
    segment.is_complete = True
    assert next(chunks) == (segment, b"bb")
    turn.finish(TurnDone())
    assert list(chunks) == []
    assert segment.is_delivered
    assert outlet.is_empty


def test_a_stream_that_is_left_gives_its_sentence_back(outlet: Outlet) -> None:
    """A reader that goes away in mid-sentence leaves the sentence next in line."""
    turn = turn_of("a", "b")
    outlet.add(turn)
    chunks = outlet.stream(turn, timeout_s=0)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    claim = outlet.claim(0)
    assert claim is not None
    assert claim.segment is turn.segments[0]
