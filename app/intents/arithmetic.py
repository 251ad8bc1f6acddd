"""Sums between two numbers: recognised in a sentence, worked out exactly, and made up for the recogniser."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from fractions import Fraction

from app.intents.numbers import number_words, parse_number

Number = int | float

OPERATORS = {
    "plus": ("plus", "added to", "+"),
    "minus": ("minus", "less", "take away", "-", "−"),
    "times": ("times", "multiplied by", "x", "×", "*"),
    "divided by": ("divided by", "over", "÷", "/"),
    "percent of": ("percent of", "per cent of", "% of"),
}
_USUAL_OPERATORS = ("plus", "minus", "times", "divided by")
_OPENERS = ("", "what is", "what's", "how much is", "calculate", "tell me", "what does")
_ANY_OPERATOR = {spoken: name for name, forms in OPERATORS.items() for spoken in forms}
_OPENING = re.compile(
    r"^(?:(?:can you|could you|would you|please|do you know|me|"
    r"what is|what's|whats|what are|what does|how much is|how much are|calculate|compute|work out|tell) )+"
)
_CLOSING = re.compile(r"(?: (?:equal|equals|make|makes|is|be)| =)+$")
_BINARY = re.compile(
    rf"(?P<left>.+?)(?: |(?<=\d))(?P<operator>{'|'.join(map(re.escape, _ANY_OPERATOR))})(?: |(?=\d))(?P<right>.+)"
)
_IMPERATIVES = (
    (re.compile(r"add (?P<left>.+?) (?:and|to) (?P<right>.+)"), "plus"),
    (re.compile(r"(?:subtract|take) (?P<right>.+?) from (?P<left>.+)"), "minus"),
    (re.compile(r"multiply (?P<left>.+?) (?:by|and|with) (?P<right>.+)"), "times"),
    (re.compile(r"divide (?P<left>.+?) by (?P<right>.+)"), "divided by"),
)


def parse_arithmetic(text: str) -> tuple[Number, str, Number] | None:
    """Return (left, operator, right), operator a key of OPERATORS, when the whole text is one sum.

    text: lower case, without punctuation at its end.
    """
    text = _CLOSING.sub("", _OPENING.sub("", text))
    for pattern, operator in _IMPERATIVES:
        if (match := pattern.fullmatch(text)) and (sides := _parse_sides(match)):
            return sides[0], operator, sides[1]
    if (match := _BINARY.fullmatch(text)) and (sides := _parse_sides(match)):
        return sides[0], _ANY_OPERATOR[match["operator"]], sides[1]
    return None


def calculate(left: Number, operator: str, right: Number) -> Fraction | None:
    """Work out a sum exactly; None for a division by zero."""
    a, b = Fraction(str(left)), Fraction(str(right))
    if operator == "divided by":
        return None if b == 0 else a / b
    return {"plus": a + b, "minus": a - b, "times": a * b, "percent of": a * b / 100}[operator]


def sample_sums(n_sums: int, rng: random.Random) -> Iterator[str]:
    """Yield spoken sums in which every number from 0 to 100 and every operator has its turn."""
    spoken = [form for forms in OPERATORS.values() for form in forms if form.replace(" ", "").isalpha() and form != "x"]
    for index in range(n_sums):
        left, right = index % 101, rng.randrange(101)
        if index % 4 == 3:
            left = rng.choice((rng.randrange(101, 1001), 10 * rng.randrange(11, 101), 100 * rng.randrange(1, 11)))
        operator = (
            spoken[index % len(spoken)] if index % 2 else ("plus", "minus", "times", "divided by")[index // 2 % 4]
        )
        yield f"{rng.choice(_OPENERS)} {number_words(left)} {operator} {number_words(right)}".strip()


def _parse_sides(match: re.Match[str]) -> tuple[Number, Number] | None:
    left, right = parse_number(match["left"]), parse_number(match["right"])
    return None if left is None or right is None else (left, right)
