import random
from fractions import Fraction

import pytest

from app.intents.arithmetic import calculate, parse_arithmetic, sample_sums


@pytest.mark.parametrize(
    ("text", "sum_"),
    [
        ("what is seven times six", (7, "times", 6)),
        ("what's 12.5 plus 3", (12.5, "plus", 3)),
        ("7x6", (7, "times", 6)),
        ("100 / 4", (100, "divided by", 4)),
        ("how much is one thousand two hundred minus five", (1200, "minus", 5)),
        ("calculate ninety over nine", (90, "divided by", 9)),
        ("what does two plus two equal", (2, "plus", 2)),
        ("add five and six", (5, "plus", 6)),
        ("subtract five from six", (6, "minus", 5)),
        ("multiply three by four", (3, "times", 4)),
        ("divide ten by four", (10, "divided by", 4)),
        ("what is ten percent of two hundred", (10, "percent of", 200)),
        ("minus three plus one", (-3, "plus", 1)),
    ],
)
def test_a_sum_is_read_in_its_usual_forms(text: str, sum_: tuple[float, str, float]) -> None:
    """Questions, orders and signs name the same sum."""
    assert parse_arithmetic(text) == sum_


@pytest.mark.parametrize(
    "text", ["two plus", "plus two", "a plus b", "he is one over the limit", "add two eggs and stir"]
)
def test_a_sentence_that_is_no_sum_is_left_alone(text: str) -> None:
    """Both sides have to be numbers and nothing else."""
    assert parse_arithmetic(text) is None


def test_sums_are_exact() -> None:
    """Decimal fractions are added without binary error, and a division by zero has no result."""
    assert calculate(0.1, "plus", 0.2) == Fraction(3, 10)
    assert calculate(10, "divided by", 4) == Fraction(5, 2)
    assert calculate(10, "percent of", 200) == 20
    assert calculate(1, "divided by", 0) is None


def test_sampled_sums_parse_and_cover_the_numbers() -> None:
    """Every sampled sum is understood, and every number up to a hundred occurs."""
    sums = [parse_arithmetic(text) for text in sample_sums(1500, random.Random(1))]
    assert None not in sums
    assert {sum_[0] for sum_ in sums if sum_} >= set(range(101))
