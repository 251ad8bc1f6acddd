"""Timers in conversation: what to do about them and what to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.intents.numbers import number_words
from app.intents.spoken import duration_words
from app.messages import Action, Header, RunningTimer

NO_TIMER = "No timer is running."
_UNITS_S = {"hours": 3600, "minutes": 60, "seconds": 1}
_TOLD_AT_ONCE = 3


def duration_of(slots: Mapping[str, object]) -> float:
    """Return the seconds that the slots name, 0 when they name none."""
    amounts = ((slots.get(unit, slots.get(f"start_{unit}", 0)), unit_s) for unit, unit_s in _UNITS_S.items())
    return float(sum(amount * unit_s for amount, unit_s in amounts if isinstance(amount, (int, float))))


def name_of(slots: Mapping[str, object]) -> str:
    """Return the name that the user gave, empty for none."""
    return str(slots.get("name", "")).strip()


def start_timer(header: Header, slots: Mapping[str, object], max_timer_s: float) -> Iterator[str | Action]:
    """Set a timer, or ask for how long."""
    duration_s, name = duration_of(slots), name_of(slots)
    if not duration_s:
        yield "For how long? Say, set a timer for five minutes."
    elif duration_s > max_timer_s:
        yield f"I can only set a timer for up to {duration_words(max_timer_s)}."
    else:
        yield Action(header, "set-timer", {"name": name, "duration_s": duration_s})
        yield f"Your {name} timer for {duration_words(duration_s)} is running.".replace("  ", " ")


def cancel_timer(header: Header, slots: Mapping[str, object], timers: Sequence[RunningTimer]) -> Iterator[str | Action]:
    """Cancel the timer that is meant, or say why it is not clear which one."""
    name, duration_s = name_of(slots), duration_of(slots)
    meant = [t for t in timers if t.name.lower() == name.lower() or not name]
    meant = [t for t in meant if t.duration_s == duration_s or not duration_s]
    if not timers:
        yield NO_TIMER
    elif not meant:
        yield f"No such timer is running. {tell_timers(timers)}"
    elif len(timers) == 1 or (meant[0].name and len({t.name for t in meant}) == 1):
        yield Action(header, "cancel-timers", {"name": meant[0].name})
        yield f"{_title(meant[0])} is cancelled."
    else:
        n_timers = number_words(len(timers)).capitalize()
        yield f"{n_timers} timers are running. Say, cancel all timers, or say the name of one."


def cancel_timers(header: Header, timers: Sequence[RunningTimer]) -> Iterator[str | Action]:
    """Cancel every timer."""
    yield Action(header, "cancel-timers", {"name": ""})
    if not timers:
        yield NO_TIMER
    elif len(timers) == 1:
        yield f"{_title(timers[0])} is cancelled."
    else:
        yield f"{number_words(len(timers)).capitalize()} timers are cancelled."


def tell_timers(timers: Sequence[RunningTimer], name: str = "") -> str:
    """Say how much time is left, of the timer of that name when there is one."""
    told = [t for t in timers if t.name.lower() == name.lower()] if name else list(timers)
    if not told:
        return NO_TIMER if not timers else f"No such timer is running. {tell_timers(timers)}"
    told.sort(key=lambda timer: timer.left_s)
    sentences = [
        f"{_title(timer)} has {duration_words(_roundly(timer.left_s))} left." for timer in told[:_TOLD_AT_ONCE]
    ]
    if len(told) > 1:
        sentences.insert(0, f"{number_words(len(told)).capitalize()} timers are running.")
    return " ".join(sentences)


def _title(timer: RunningTimer) -> str:
    return f"Your {timer.name} timer" if timer.name else f"Your timer for {duration_words(timer.duration_s)}"


def _roundly(left_s: float) -> float:
    """Round to whole minutes when hours are left: nobody wants to hear those seconds."""
    return 60 * round(left_s / 60) if left_s >= 3600 else max(1, left_s)
