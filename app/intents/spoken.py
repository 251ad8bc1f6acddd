"""Times, dates and durations in English words, as a voice speaks them well."""

from __future__ import annotations

from datetime import date, datetime

from app.intents.numbers import number_words, ordinal_words

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def time_words(time: datetime) -> str:
    """Speak a time of day on the twelve hour clock: "ten thirty five", "nine oh five", "noon"."""
    if time.minute == 0 and time.hour % 12 == 0:
        return "noon" if time.hour else "midnight"
    hour = number_words(time.hour % 12 or 12)
    if time.minute == 0:
        return f"{hour} o'clock"
    return f"{hour} {'oh ' if time.minute < 10 else ''}{number_words(time.minute)}"


def weekday_name(day: date) -> str:
    """Return "Friday"."""
    return _WEEKDAYS[day.weekday()]


def month_name(day: date) -> str:
    """Return "November"."""
    return _MONTHS[day.month - 1]


def date_words(day: date) -> str:
    """Speak a date: "Friday, November twentieth"."""
    return f"{weekday_name(day)}, {month_name(day)} {ordinal_words(day.day)}"


def year_words(year: int) -> str:
    """Speak a year: "twenty twenty six", "two thousand five"."""
    century, rest = divmod(year, 100)
    if rest < 10:
        return number_words(year)
    return f"{number_words(century)} {number_words(rest)}"


def duration_words(duration_s: float) -> str:
    """Speak a duration, rounded to seconds: "one hour, two minutes and three seconds"."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    units = ((hours, "hour"), (minutes, "minute"), (seconds, "second"))
    parts = [f"{number_words(n)} {unit}{'s' if n != 1 else ''}" for n, unit in units if n]
    *head, last = parts or ["zero seconds"]
    return f"{', '.join(head)} and {last}" if head else last
