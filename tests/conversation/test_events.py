"""The event log."""

from __future__ import annotations

import json
import threading

from app.conversation.events import Event, EventLog, PartialTranscript, SegmentReady, TurnDone


def log_of(max_events: int = 10, listeners: list | None = None) -> EventLog:  # type: ignore[type-arg]
    listeners = [] if listeners is None else listeners
    return EventLog("s", threading.RLock(), max_events, listeners, wall_clock=lambda: 12.3456)


def test_readers_have_cursors_of_their_own() -> None:
    """Each reader gets what is behind its own cursor."""
    log = log_of()
    for text in ("a", "b", "c"):
        log.append("t", PartialTranscript(text))
    assert [e.number for e in log.read(0, 0)] == [1, 2, 3]
    assert [e.fact for e in log.read(2, 0)] == [PartialTranscript("c")]
    assert log.read(3, 0) == []


def test_the_log_is_bounded() -> None:
    """Old events fall off; the gap shows in the numbers."""
    log = log_of(max_events=2)
    for text in ("a", "b", "c"):
        log.append("t", PartialTranscript(text))
    assert [e.number for e in log.read(0, 0)] == [2, 3]


def test_a_reader_waits() -> None:
    """A reader that is up to date is woken by the next event."""
    log = log_of()
    threading.Timer(0.02, lambda: log.append("t", TurnDone())).start()
    assert [e.name for e in log.read(0, 20)] == ["turn_done"]


def test_a_cursor_from_the_future_waits() -> None:
    """A number that was never given out is not an error."""
    log = log_of()
    log.append("t", TurnDone())
    assert log.read(99, 0) == []


def test_listeners_are_told_at_once() -> None:
    """Readers that are no threads are called with each event."""
    told: list[Event] = []
    log_of(listeners=[told.append]).append("t", TurnDone())
    assert [e.name for e in told] == ["turn_done"]


def test_events_as_json() -> None:
    """An event on the wire names itself, its place and its facts."""
    log = log_of()
    log.append("t", SegmentReady(2, 1.5))
    (event,) = log.read(0, 0)
    assert json.loads(json.dumps(event.as_dict())) == {
        "event": "segment_ready", "number": 1, "at_s": 12.346, "session": "s", "turn": "t",
        "index": 2, "duration_s": 1.5,
    }  # fmt: skip
