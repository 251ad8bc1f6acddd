"""The characters of a reply: which of them are spoken, and looking ahead in a stream of them."""

from __future__ import annotations

import string
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache

_PLAIN = frozenset(string.ascii_letters + string.digits + string.punctuation + " \n")
_NEW_LINES = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_EMOJI = (
    (0x231A, 0x231B),
    (0x23E9, 0x23FA),
    (0x2600, 0x27BF),
    (0x2B05, 0x2B07),
    (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B55),
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x1F000, 0x1FAFF),
)
_MODIFIERS = ((0x180B, 0x180F), (0x20E3, 0x20E3), (0xFE00, 0xFE0F), (0x1F3FB, 0x1F3FF), (0xE0000, 0xE01EF))
_ZERO_WIDTH_NON_JOINER = "\u200c"  # Persian words need it
_WIDE = (("\u2e80", "\ua4cf"), ("\uf900", "\ufaff"), ("\ufe30", "\ufe4f"), ("\uff00", "\uffef"))


class Lookahead:
    """A stream of characters that can be looked at before they are taken."""

    def __init__(self, characters: Iterator[str]) -> None:
        self._characters = characters
        self._ahead: deque[str] = deque()

    def peek(self, distance: int = 0) -> str:
        """Return the character at `distance` from here, waiting for it; empty past the end."""
        while len(self._ahead) <= distance:
            character = next(self._characters, "")
            if not character:
                return ""
            self._ahead.append(character)
        return self._ahead[distance]

    def take(self) -> str:
        """Return the next character and move on; empty at the end."""
        return self._ahead.popleft() if self._ahead else next(self._characters, "")

    def take_run(self, characters: str) -> int:
        """Move past the next characters as long as they are one of these; return how many they were."""
        n_taken = 0
        while (character := self.peek()) and character in characters:
            self.take()
            n_taken += 1
        return n_taken

    def skip(self, n_characters: int) -> None:
        """Move past characters that were looked at."""
        for _ in range(n_characters):
            self.take()

    def starts_with(self, text: str) -> bool:
        """Say whether `text` comes next, waiting for no more of it than it takes to know."""
        return all(self.peek(i) == character for i, character in enumerate(text))

    def put_back(self, text: Iterable[str]) -> None:
        """Let `text` come next."""
        self._ahead.extendleft(reversed(list(text)))


def spoken_characters(deltas: Iterable[str]) -> Iterator[str]:
    """Yield the characters of a text without emoji and control characters; white space is a space or a newline."""
    lead = ""
    for delta in deltas:
        for character in delta:
            if character in _PLAIN:
                lead = ""
                yield character
            elif "\ud800" <= character <= "\udbff":
                lead = character
            elif "\udc00" <= character <= "\udfff":
                if lead:
                    yield from speak_character((lead + character).encode("utf-16", "surrogatepass").decode("utf-16"))
                lead = ""
            else:
                lead = ""
                yield from speak_character(character)


@lru_cache(maxsize=4096)
def speak_character(character: str) -> str:
    """Return what of one character is spoken: itself, white space or nothing."""
    if character in _NEW_LINES:
        return "\n"
    if character.isspace():
        return " "
    code = ord(character)
    if any(first <= code <= last for first, last in _MODIFIERS):
        return ""
    if any(first <= code <= last for first, last in _EMOJI):
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") and character != _ZERO_WIDTH_NON_JOINER:
        return ""
    return character


def is_wide(character: str) -> bool:
    """Say whether a character is of a script written without spaces between words: Chinese or Japanese."""
    return character > "\u2e7f" and (
        any(first <= character <= last for first, last in _WIDE) or "\U00020000" <= character <= "\U0003ffff"
    )


def extends_cluster(character: str) -> bool:
    """Say whether a character belongs to the one before it, so that no cut may come between."""
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character == _ZERO_WIDTH_NON_JOINER
        or "\u1160" <= character <= "\u11ff"
        or "\uff9e" <= character <= "\uff9f"
    )
