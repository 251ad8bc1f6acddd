"""English numbers as words, both ways: what a voice can speak and what a recogniser writes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_LARGEST = 10**15
_UNIT_VALUES = {word: value for value, word in enumerate(_UNITS)}
_TENS_VALUES = {word: 10 * value for value, word in enumerate(_TENS) if word}
_SCALE_VALUES = {word: value for value, word in _SCALES}
_DIGITS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?|\d+(\.\d+)?|\.\d+")


def number_words(value: int | float) -> str:
    """Speak a number: `42` becomes "forty two", `-2.5` becomes "minus two point five".

    At most two decimals are spoken.  From 10**15 on the digits are spelt one by one.
    """
    value = round(value, 2)
    if value < 0:
        return f"minus {number_words(-value)}"
    whole = int(value)
    words = _whole_words(whole) if whole < _LARGEST else " ".join(_UNITS[int(digit)] for digit in str(whole))
    decimals = f"{round(value - whole, 2):.2f}"[2:].rstrip("0") if isinstance(value, float) else ""
    return " ".join([words, "point", *(_UNITS[int(digit)] for digit in decimals)]) if decimals else words


def ordinal_words(value: int) -> str:
    """Speak a rank: `20` becomes "twentieth", `21` becomes "twenty first"."""
    *head, last = _whole_words(value).split()
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*head, _ORDINALS.get(last, regular)])


def parse_number(text: str) -> int | float | None:
    """Return the value of digits or of number words, or None when the text is anything but one number."""
    text = text.strip().lower()
    for sign in ("minus ", "negative ", "-"):
        if text.startswith(sign):
            value = parse_number(text[len(sign) :])
            return None if value is None or text[len(sign) :].startswith(sign) else -value
    if _DIGITS.fullmatch(text):
        plain = text.replace(",", "")
        return float(plain) if "." in plain else int(plain)
    whole, point, decimals = f" {text.replace('-', ' ')} ".partition(" point ")
    value = _parse_whole(whole.split()) if whole.strip() or not point else 0
    if value is None or not point:
        return value
    digits = [_UNIT_VALUES.get("zero" if word == "oh" else word, 10) for word in decimals.split()]
    return float(f"{value}.{''.join(map(str, digits))}") if digits and max(digits) < 10 else None


def _whole_words(value: int) -> str:
    return " ".join(_spell(value)) or _UNITS[0]


def _spell(value: int) -> Iterator[str]:
    for scale, word in _SCALES:
        if value >= scale:
            yield from _spell(value // scale)
            yield word
            value %= scale
    if value >= 100:
        yield from (_UNITS[value // 100], "hundred")
        value %= 100
    if value >= 20:
        yield _TENS[value // 10]
        value %= 10
    if value:
        yield _UNITS[value]


def _parse_whole(words: list[str]) -> int | None:
    """Add up number words; None when they do not follow each other as in one number."""
    if not words or "and" in (words[0], words[-1]):
        return None
    total, group, largest_unit, largest_scale = 0, 0, 1000, _LARGEST
    for position, word in enumerate("one" if w == "a" else w for w in words):
        if word == "and" and words[position - 1] in ("hundred", *_SCALE_VALUES):
            continue
        if word == "hundred" and 0 < group < 10:
            group, largest_unit = group * 100, 100
        elif word in _SCALE_VALUES and group > 0 and _SCALE_VALUES[word] < largest_scale:
            largest_scale = _SCALE_VALUES[word]
            total, group, largest_unit = total + group * largest_scale, 0, 1000
        elif word in _TENS_VALUES and largest_unit >= 100:
            group, largest_unit = group + _TENS_VALUES[word], 10
        elif word in _UNIT_VALUES and _fits(_UNIT_VALUES[word], largest_unit, total + group):
            group, largest_unit = group + _UNIT_VALUES[word], 0
        else:
            return None
    return total + group


def _fits(unit: int, largest_unit: int, sum_before: int) -> bool:
    if unit == 0:
        return sum_before == 0 and largest_unit == 1000
    return unit < largest_unit
