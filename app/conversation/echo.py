"""Whether what was heard is the reply itself, coming back from the loudspeaker; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.intents.numbers import number_words

_SHORT_WORDS = 2
"""So few words a person may well say that are also in the reply: `stop`, `thank you`."""
_SHORT_SIMILARITY = 0.8
_FEW_WORDS = 6
"""A person who corrects what was understood says nearly the same again: `set a timer for ten minutes`."""
_FEW_SIMILARITY = 0.9
_MANY_SIMILARITY = 0.72
"""Recognisers get up to every fourth letter of a long sentence wrong that they hear back, and nobody says it again."""
_MAX_SENTENCES = 8
_MAX_CHARS = 400
"""Of what was heard and of what was played, the newest: they bound the time that the comparison takes."""

_NUMBER = re.compile(r"\d+")
_UNHEARD = re.compile(r"[\W_]+")


def is_echo(heard: str, spoken: Sequence[str]) -> bool:
    """Say whether the words heard are what the device is playing or has just played.

    spoken: the sentences, newest last.  In doubt the user is believed: one or two words are an echo only when they are
    a whole sentence, and more words only when nearly all of them stand together in what was played.
    """
    words = _bare(heard)
    sentences = [bare for sentence in spoken[-_MAX_SENTENCES:] if (bare := _bare(sentence))]
    if not words or not sentences:
        return False
    n_words = len(words.split())
    if n_words <= _SHORT_WORDS:
        return any(_similarity_of_whole(words, sentence) >= _SHORT_SIMILARITY for sentence in sentences)
    played = " ".join(sentences)[-_MAX_CHARS:]
    return _similarity_of_stretch(words, played) >= (_FEW_SIMILARITY if n_words <= _FEW_WORDS else _MANY_SIMILARITY)


def _bare(text: str) -> str:
    """Return the words as a recogniser writes them: lower case, numbers as words, without punctuation."""
    # Cut first: Python makes no number of thousands of digits, as a recogniser may write that repeats itself.
    newest = text[-_MAX_CHARS:].casefold().replace("’", "'")
    words = _NUMBER.sub(lambda match: f" {number_words(int(match[0]))} ", newest)
    return " ".join(_UNHEARD.sub(" ", words.replace("'", "")).split())[-_MAX_CHARS:]


def _similarity_of_whole(text: str, other: str) -> float:
    """Return how much of two texts is the same, 0 to 1."""
    return 1 - _edits(text, other, list(range(len(other) + 1)))[-1] / max(len(text), len(other))


def _similarity_of_stretch(text: str, played: str) -> float:
    """Return how much of `text` is in the stretch of `played` that is most like it, 0 to 1.

    Source: Sellers 1980, "The theory and computation of evolutionary distances: pattern recognition".
    """
    may_begin_anywhere = [0] * (len(played) + 1)
    may_end_anywhere = min(_edits(text, played, may_begin_anywhere))
    return 1 - may_end_anywhere / len(text)


def _edits(text: str, other: str, row: list[int]) -> list[int]:
    """Return how many letters must change to make `text` of what ends at each place of `other`.

    row: what it costs to begin at each place; it is used up.
    """
    for n_read, letter in enumerate(text, 1):
        left_above, row[0] = row[0], n_read
        for i, found in enumerate(other, 1):
            left_above, row[i] = row[i], min(row[i] + 1, row[i - 1] + 1, left_above + (letter != found))
    return row
