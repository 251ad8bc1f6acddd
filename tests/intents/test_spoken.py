from datetime import date, datetime

import pytest

from app.intents.spoken import date_words, duration_words, time_words, year_words


@pytest.mark.parametrize(
    ("hour", "minute", "words"),
    [
        (10, 35, "ten thirty five"),
        (22, 35, "ten thirty five"),
        (9, 5, "nine oh five"),
        (15, 0, "three o'clock"),
        (12, 0, "noon"),
        (0, 0, "midnight"),
        (0, 1, "twelve oh one"),
    ],
)
def test_a_time_is_spoken_on_the_twelve_hour_clock(hour: int, minute: int, words: str) -> None:
    """Full hours, small minutes, noon and midnight have their own form."""
    assert time_words(datetime(2026, 11, 20, hour, minute)) == words


def test_a_date_is_spoken_with_its_weekday() -> None:
    """The day of the month is an ordinal."""
    assert date_words(date(2026, 11, 20)) == "Friday, November twentieth"


@pytest.mark.parametrize(
    ("year", "words"), [(2026, "twenty twenty six"), (2005, "two thousand five"), (1999, "nineteen ninety nine")]
)
def test_a_year_is_spoken_as_people_do(year: int, words: str) -> None:
    """Years are read in pairs except the first ten of a century."""
    assert year_words(year) == words


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (1, "one second"),
        (90, "one minute and thirty seconds"),
        (3723, "one hour, two minutes and three seconds"),
        (0, "zero seconds"),
    ],
)
def test_a_duration_is_spoken_in_hours_minutes_and_seconds(duration_s: float, words: str) -> None:
    """Parts of zero are left out and one is singular."""
    assert duration_words(duration_s) == words
