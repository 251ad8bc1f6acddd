"""Replies of several characters: who says which sentence.

A name counts at the beginning of a line only, in one of the forms that language models use: `Anna:`, `**Anna:**`,
`**Anna**:`, `[Anna]`, `[Anna]:` and `<Anna>`.  Everything else stays text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from app.llm.characters import Lookahead
from app.llm.sentences import split_sentences

_BLANKS = " \t"
_EMPHASIS = "*_"
_MAX_EMPHASIS = 3
_COLONS = ":："
_BRACKETS = {"[": "]", "<": ">"}
_APOSTROPHES = str.maketrans({"’": "'", "\u00a0": " "})


def split_speech(
    deltas: Iterable[str], characters: Sequence[str], *, first_min_chars: int = 24, max_chars: int = 240
) -> Iterator[tuple[str, str]]:
    """Yield (character, sentence) for the pieces of a Markdown text that are spoken one by one.

    A new speaker ends the sentence before.  The other parameters are those of `split_sentences`; only the very first
    piece may end early.  Without characters all is said by nobody in particular, the empty name.
    """
    is_first = True
    for character, run in itertools.groupby(find_speakers(deltas, characters), key=lambda piece: piece[0]):
        min_chars = first_min_chars if is_first else max_chars
        for sentence in split_sentences((text for _, text in run), first_min_chars=min_chars, max_chars=max_chars):
            yield character, sentence
            is_first = False


def find_speakers(deltas: Iterable[str], characters: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (character, text) in pieces of any length, without the names; the same however the text is cut into deltas.

    What comes before the first name is said by the first character.  No more is held back than what may still be a
    name; an empty text tells of a new speaker at once.
    """
    if not characters:
        yield from (("", delta) for delta in deltas)
        return
    source = Lookahead(itertools.chain.from_iterable(deltas))
    names = {_fold(name): name for name in characters}
    speaker, is_line_start = characters[0], True
    while True:
        if is_line_start and (named := _take_name(source, names)):
            speaker = named
            yield speaker, ""
        character = source.take()
        if not character:
            return
        yield speaker, character
        is_line_start = character == "\n"


def _take_name(source: Lookahead, names: dict[str, str]) -> str:
    """Take a name and all marks around it when they come next; return whose name it is, or take nothing."""
    start = _count(source, 0, _BLANKS)
    n_opened = _count(source, start, _EMPHASIS, _MAX_EMPHASIS)
    place = start + n_opened
    closer = _BRACKETS.get(source.peek(place), "")
    name, place = _read_name(source, place + bool(closer), names)
    if not name or (closer and source.peek(place) != closer):
        return ""
    place += bool(closer)
    n_closed = _count(source, place, _EMPHASIS, n_opened)
    place += n_closed
    n_blanks = _count(source, place, _BLANKS, 1)
    if (mark := source.peek(place + n_blanks)) and mark in _COLONS:
        place += n_blanks + 1
    elif not closer or source.peek(place) == "(":
        # The text of a link may be a name, too.
        return ""
    n_closed_late = _count(source, place, _EMPHASIS, n_opened - n_closed)
    emphasis = "".join(source.peek(start + i) for i in range(n_opened))
    source.skip(place + n_closed_late)
    if n_opened and n_closed + n_closed_late == 0:
        # What is said is emphasised, too: "**Anna: Stop!**".
        source.take_run(_BLANKS)
        source.put_back(emphasis)
    return name


def _read_name(source: Lookahead, start: int, names: dict[str, str]) -> tuple[str, int]:
    """Return the longest name that stands at a place, and the place behind it; no name when none does."""
    found, place, seen = "", start, ""
    while character := source.peek(place):
        seen += _fold(character)
        if not any(name.startswith(seen) for name in names):
            break
        place += 1
        if seen in names:
            found, start = names[seen], place
    return found, start


def _count(source: Lookahead, place: int, characters: str, at_most: int = 40) -> int:
    """Return how many of the next characters from a place on are one of these."""
    count = 0
    while count < at_most and (character := source.peek(place + count)) and character in characters:
        count += 1
    return count


def _fold(text: str) -> str:
    return text.translate(_APOSTROPHES).casefold()
