import pytest

from app.intents.numbers import number_words, ordinal_words, parse_number

WORDS = {
    0: "zero",
    7: "seven",
    13: "thirteen",
    20: "twenty",
    42: "forty two",
    100: "one hundred",
    105: "one hundred five",
    999: "nine hundred ninety nine",
    1000: "one thousand",
    1212: "one thousand two hundred twelve",
    2_000_001: "two million one",
    -3: "minus three",
    2.5: "two point five",
    0.05: "zero point zero five",
    -7.25: "minus seven point two five",
    3.0: "three",
    1.999: "two",
}


@pytest.mark.parametrize(("value", "words"), WORDS.items())
def test_a_number_is_spoken_in_words(value: float, words: str) -> None:
    """A number becomes plain words, decimals digit by digit."""
    assert number_words(value) == words


def test_words_and_numbers_are_inverse_up_to_a_few_thousand() -> None:
    """What number_words says, parse_number reads."""
    assert all(
        parse_number(number_words(value)) == value for value in (*range(-20, 2100), 10**6, 12_345_678, 7.25, -0.5)
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("one hundred and five", 105),
        ("a hundred", 100),
        ("two thousand and one", 2001),
        ("Twenty-One", 21),
        ("1,250", 1250),
        ("3.5", 3.5),
        (".5", 0.5),
        ("-4", -4),
        ("negative two", -2),
        ("point five", 0.5),
        ("three point oh five", 3.05),
        ("one hundred thousand", 100_000),
        ("one million two hundred thousand and six", 1_200_006),
    ],
)
def test_usual_ways_to_write_a_number_are_read(text: str, value: float) -> None:
    """Digits, hyphens, "and" and "a hundred" are understood."""
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "and",
            "seven of clubs",
            "one two three",
            "twenty eleven",
            "twenty zero",
            "ten five",
            "five hundred hundred",
        ),
        *("hundred", "point", "one point", "one point ten", "five and six", "minus", "minus minus two", "1 2", "1.2.3"),
        *("thousand", "two million million", "three thousand million", "five and"),
    ],
)
def test_what_is_not_one_number_is_refused(text: str) -> None:
    """Words that do not follow each other as in one number have no value."""
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        (1, "first"),
        (3, "third"),
        (12, "twelfth"),
        (20, "twentieth"),
        (21, "twenty first"),
        (30, "thirtieth"),
        (9, "ninth"),
    ],
)
def test_a_rank_is_spoken_as_ordinal(rank: int, words: str) -> None:
    """Days of the month have their spoken form."""
    assert ordinal_words(rank) == words
