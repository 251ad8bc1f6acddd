"""Markdown to spoken text, character by character.

Spoken: the text of emphasis, headings, list items, quotes, links, image descriptions and inline code; a table row as
its cells with commas; a bare address as its host name.  Not spoken: fenced code, link targets, HTML tags and comments,
footnote marks, rules.  Whatever is not sure to be markup is text: 3 * 4, snake_case, a < b, [sic].
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from app.llm.characters import Lookahead, is_wide, spoken_characters
from app.llm.markup import take_address, take_entity, take_tag, take_target

_MAX_HELD = 400
"Characters that a link text or a code span may hold until it is taken for plain text."
_MAX_ROW = 2000
_MAX_DEPTH = 2
"Brackets within brackets that are still looked at: an image within a link."
_SPACES = ("", " ", "\n")
_WORD = frozenset(string.ascii_letters + string.digits)
_OPENS_UNDERLINE = frozenset("\n ([{\"'*~“‘«„—–,;:!?，。：、；！？（「『《【")
_DELIMITER_CELL = re.compile(r":?-+:?")


def spoken_text(deltas: Iterable[str]) -> Iterator[str]:
    """Yield the spoken characters of a Markdown text; white space is single spaces and newlines.

    A character is given out as soon as it is certain, which needs the next one at most - but the text of a link, a
    tag, an address and a table row is held until its end.
    """
    last = "\n"
    for part in _MarkdownReader(spoken_characters(deltas)).parts():
        for character in part:
            if character in " \n" and (last == "\n" or last == character):
                continue
            last = character
            yield character


class _MarkdownReader:
    """Reads line by line: what opens the line, then its text; each mark has a method that takes what belongs to it."""

    def __init__(self, characters: Iterator[str]) -> None:
        self._source = Lookahead(characters)
        self._before = "\n"
        "The last character of the text in this line; says whether a mark opens or closes."
        self._open_marks: Counter[tuple[str, int]] = Counter()
        self._depth = 0
        self._is_heading = False
        self._marks: dict[str, Callable[[str], Iterable[str]]] = {
            "*": self._star,
            "_": self._underline,
            "~": self._tilde,
            "`": self._backtick,
            "#": self._hash,
            "!": self._exclamation,
            "[": self._bracket,
            "<": self._angle,
            "&": self._entity,
            "\\": self._escape,
            **dict.fromkeys("hHwW", self._letter),
        }

    def parts(self) -> Iterator[str]:
        take, marks = self._source.take, self._marks
        while self._source.peek():
            self._open_line()
            while character := take():
                mark = marks.get(character)
                if mark is not None:
                    yield from mark(character)
                else:
                    yield character
                    self._before = character
                    if character == "\n":
                        break

    def _open_line(self) -> None:
        """Take indentation, quote marks, bullets and heading marks; lay out a table row."""
        source = self._source
        self._before, self._is_heading = "\n", False
        self._open_marks.clear()
        is_item = False
        while character := source.peek():
            if character in "-*+•" and source.peek(1) in _SPACES:
                is_item = True
                source.take()
            elif character in " >":
                source.take()
            elif character == "#" and self._opens_heading():
                source.take_run("#")
                self._is_heading = True
            elif character == "|":
                self._open_table_row()
                break
            else:
                break
        if is_item and character == "[" and source.peek(1) in " xX" and source.peek(2) == "]":
            source.skip(3)

    def _opens_heading(self) -> bool:
        level = 1
        while level <= 6 and self._source.peek(level) == "#":
            level += 1
        return level <= 6 and self._source.peek(level) in _SPACES

    def _open_table_row(self) -> None:
        row: list[str] = []
        while self._source.peek() not in ("", "\n") and len(row) < _MAX_ROW:
            row.append(self._source.take())
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", "".join(row))]
        self._source.put_back(", ".join(c for c in cells if c and not _DELIMITER_CELL.fullmatch(c)))

    def _text(self, text: str) -> str:
        self._before = text[-1:] or self._before
        return text

    def _star(self, mark: str) -> Iterable[str]:
        n = 1 + self._source.take_run(mark)
        after = self._source.peek()
        is_loose = self._before in " \n" and after in _SPACES
        joins_words = (self._before in _WORD or self._before == ")") and (after in _WORD or after == "(")
        is_power = joins_words and n == 2 and (self._before.isdigit() or after.isdigit())
        is_product = joins_words and n == 1 and ((self._before + after).isdigit() or not self._open_marks[mark, n])
        if (is_loose and n <= 2 and self._before != "\n") or is_product or (is_power and not self._open_marks[mark, n]):
            return self._text(mark * n)
        self._toggle(mark, n, after)
        return ""

    def _underline(self, mark: str) -> Iterable[str]:
        n = 1 + self._source.take_run(mark)
        after = self._source.peek()
        closes = self._open_marks[mark, min(n, 3)] and self._before not in " \n" and not after.isalnum()
        opens = self._before in _OPENS_UNDERLINE and after not in _SPACES
        if n <= 3 and not closes and not opens:
            return self._text(mark * n)
        self._toggle(mark, n, after)
        return ""

    def _toggle(self, mark: str, n: int, after: str) -> None:
        key = (mark, min(n, 3))
        if self._before not in " \n" and self._open_marks[key]:
            self._open_marks[key] -= 1
        elif after not in _SPACES:
            self._open_marks[key] += 1

    def _tilde(self, mark: str) -> Iterable[str]:
        n = 1 + self._source.take_run(mark)
        if n >= 3 and self._before == "\n":
            return self._fence(mark, n)
        return self._text(mark) if n == 1 else ""

    def _backtick(self, mark: str) -> Iterable[str]:
        n = 1 + self._source.take_run(mark)
        return self._fence(mark, n) if n >= 3 and not self._closes_in_line(mark) else self._code(n)

    def _closes_in_line(self, mark: str) -> bool:
        for distance in range(_MAX_HELD):
            if (character := self._source.peek(distance)) in ("", "\n"):
                return False
            if character == mark:
                return True
        return False

    def _fence(self, mark: str, n: int) -> Iterable[str]:
        """Take a fenced block up to the line that closes it, or to the end."""
        source = self._source
        while source.peek():
            while source.take() not in ("", "\n"):
                pass
            source.take_run(" >")
            if source.take_run(mark) >= n:
                source.take_run(" ")
                if source.peek() in ("", "\n"):
                    break
        return "\n"

    def _code(self, n: int) -> Iterable[str]:
        """Yield a code span as it is, up to the same run of backticks, the end of the line or a limit."""
        for _ in range(_MAX_HELD):
            if self._source.peek() in ("", "\n"):
                return
            character = self._source.take()
            if character != "`":
                yield self._text(character)
            elif 1 + self._source.take_run("`") == n:
                return

    def _hash(self, mark: str) -> Iterable[str]:
        n = 1 + self._source.take_run(mark)
        closes_heading = self._is_heading and self._before == " " and self._source.peek() in ("", "\n")
        return "" if closes_heading else self._text(mark * min(n, 6))

    def _exclamation(self, mark: str) -> Iterable[str]:
        if self._source.peek() != "[":
            return self._text(mark)
        parts = list(self._bracket(self._source.take()))
        return parts if parts[:1] != ["["] else [mark, *parts]

    def _bracket(self, mark: str) -> Iterable[str]:
        """Return the text of a link, nothing for a footnote mark, and plain brackets as they are."""
        source, opens_line = self._source, self._before == "\n"
        if self._depth == _MAX_DEPTH:
            return self._text(mark)
        self._before = mark
        self._depth += 1
        inner: list[str] = []
        while len(inner) < _MAX_HELD and source.peek() not in ("", "\n", "]"):
            inner.extend(self._step())
        self._depth -= 1
        if source.peek() != "]":
            return [mark, *inner]
        source.take()
        after = source.peek()
        if inner[:1] == ["^"]:
            if opens_line and source.peek() == ":":
                source.take()
            return ""
        if after == "(" and take_target(source):
            return inner
        if opens_line and source.starts_with(": http"):
            self._take_line()
            return ""
        return [mark, *inner, self._text("]")]

    def _step(self) -> Iterable[str]:
        character = self._source.take()
        mark = self._marks.get(character)
        return mark(character) if mark else self._text(character)

    def _take_line(self) -> None:
        while self._source.peek() not in ("", "\n"):
            self._source.take()

    def _angle(self, mark: str) -> Iterable[str]:
        text = take_tag(self._source)
        return self._text(mark) if text is None else text

    def _entity(self, mark: str) -> Iterable[str]:
        return self._text(take_entity(self._source) or mark)

    def _escape(self, mark: str) -> Iterable[str]:
        after = self._source.peek()
        if after == "\n":
            return ""
        return self._text(self._source.take() if after and after in string.punctuation else mark)

    def _letter(self, letter: str) -> Iterable[str]:
        """Return the host of an address that starts here, or as many letters as look like the start of one."""
        is_within_word = self._before.isalnum() and not is_wide(self._before)
        return self._text(letter if is_within_word else take_address(self._source, letter))
