"""What happens to a session, and the bounded log that every reader follows with a cursor of its own."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """The base of everything that can happen in a turn."""


@dataclass(frozen=True, slots=True)
class TurnStarted(Fact):
    """The turn is the session's current one; its work has begun."""

    kind: str
    "`heard`, `typed` or `said`."


@dataclass(frozen=True, slots=True)
class PartialTranscript(Fact):
    """What the recogniser believes so far; may change."""

    text: str


@dataclass(frozen=True, slots=True)
class FinalTranscript(Fact):
    """What the user said; empty when nothing was spoken."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class SpeechStarted(Fact):
    """A live microphone hears somebody speak."""


@dataclass(frozen=True, slots=True)
class SpeechStopped(Fact):
    """The utterance at a live microphone is over."""

    reason: str
    "`silence`, `too-long` or `stopped`."


@dataclass(frozen=True, slots=True)
class SpeechRefused(Fact):
    """The service takes no new turn now; what is being spoken is not heard."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class EchoHeard(Fact):
    """The words of an utterance were those that the device had just played; it counts as silent."""


@dataclass(frozen=True, slots=True)
class ReplyPaused(Fact):
    """Somebody speaks over the reply; it is silent until it is known whether that means anything."""


@dataclass(frozen=True, slots=True)
class ReplyResumed(Fact):
    """What was spoken over the reply had no words; it goes on where it was cut."""


@dataclass(frozen=True, slots=True)
class ReplyDropped(Fact):
    """What was left to be heard of a reply is not, though its turn had ended already."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReplyWritten(Fact):
    """All sentences of the reply are written."""


@dataclass(frozen=True, slots=True)
class SentenceReady(Fact):
    """A sentence of the reply is written and goes to be spoken."""

    index: int
    text: str
    character: str = ""
    "Who says it; empty when there are no characters."


@dataclass(frozen=True, slots=True)
class SentenceSkipped(Fact):
    """A sentence could not be spoken; the rest of the reply goes on."""

    index: int
    code: str


@dataclass(frozen=True, slots=True)
class SpeechReady(Fact):
    """A piece of a sentence's audio can be read from the turn."""

    index: int
    chunk: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class SegmentReady(Fact):
    """All audio of a sentence is there."""

    index: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class SegmentDelivered(Fact):
    """The last byte of a sentence's audio was handed to the device, or a live client has heard it."""

    index: int
    heard_s: float
    "Less than the sentence's length when it was cut off."


@dataclass(frozen=True, slots=True)
class AnalysisReady(Fact):
    """What an analyser heard in the utterance."""

    analyser: str
    scores: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class StageTrouble(Fact):
    """Something went wrong that does not end the turn."""

    stage: str
    code: str


@dataclass(frozen=True, slots=True)
class TimerSet(Fact):
    """A timer will ring."""

    name: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class TimersCancelled(Fact):
    """Timers will not ring."""

    count: int


@dataclass(frozen=True, slots=True)
class TurnDone(Fact):
    """The whole reply is spoken (or there was nothing to answer)."""


@dataclass(frozen=True, slots=True)
class TurnFailed(Fact):
    """The turn could not be answered; an apology is spoken."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TurnCancelled(Fact):
    """The turn was ended before its reply was complete."""

    reason: str


TurnEnd = TurnDone | TurnFailed | TurnCancelled


@dataclass(frozen=True, slots=True)
class Event:
    """A fact at its place in the log."""

    number: int
    "Counts up by one from 1 in each session."
    at_s: float
    "Unix time."
    session_id: str
    turn_id: str
    fact: Fact

    @property
    def name(self) -> str:
        """The fact's name on the wire, such as `turn_done`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self.fact).__name__).lower()

    def as_dict(self) -> dict[str, object]:
        """Return what goes into JSON."""
        return {
            "event": self.name, "number": self.number, "at_s": round(self.at_s, 3),
            "session": self.session_id, "turn": self.turn_id,
            **asdict(self.fact),
        }  # fmt: skip


class EventLog:
    """Append-only and bounded; wakes threads through a condition and others through callbacks."""

    def __init__(
        self,
        session_id: str,
        lock: threading.RLock,
        max_events: int,
        listeners: list[Callable[[Event], None]],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._session_id = session_id
        self._changed = threading.Condition(lock)
        self._events: deque[Event] = deque(maxlen=max_events)
        self._listeners = listeners
        self._followers: list[Callable[[], None]] = []
        self._wall_clock = wall_clock
        self.last_number = 0

    def append(self, turn_id: str, fact: Fact) -> None:
        """Add a fact and wake everyone who waits."""
        with self._changed:
            self.last_number += 1
            event = Event(self.last_number, self._wall_clock(), self._session_id, turn_id, fact)
            self._events.append(event)
            self._changed.notify_all()
            for listener in list(self._listeners):
                listener(event)
            self.wake_followers()

    def follow(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever something happens to this session; it must not wait.  Returns what ends it."""
        self._followers.append(wake)
        return lambda: self._followers.remove(wake)

    def wake_followers(self) -> None:
        """Have them look, since something is otherwise that is no event."""
        for wake in list(self._followers):
            wake()

    def read(self, after: int, timeout_s: float) -> list[Event]:
        """Return the events after number `after`, waiting for the first; empty when none came in time.

        Events that have fallen off the end are not returned: a gap in the numbers shows it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.last_number > after, timeout_s)
            n_new = min(self.last_number - after, len(self._events))
            return [self._events[i] for i in range(len(self._events) - n_new, len(self._events))] if n_new > 0 else []
