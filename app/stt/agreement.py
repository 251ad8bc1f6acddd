"""Words that appear while a person speaks: only those that two successive hypotheses agree on; pure."""

from __future__ import annotations

import re

_NOT_HEARD = re.compile(r"[\W_]+")


class Agreement:
    """Turns the hypotheses about one utterance into text that only ever grows.

    A recogniser changes its mind about the last words again and again, and seldom about those before them: what it
    says twice in a row stays.  Source: LocalAgreement-2 in Liu, Spanakis and Niehues 2020, "Low-latency
    sequence-to-sequence speech recognition and translation by partial hypothesis selection".
    """

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._before: list[str] = []

    def add(self, hypothesis: str) -> str | None:
        """Return the whole text that may be shown now, None when it has not grown.

        Case and punctuation do not count; the words are spelled as in the hypothesis that confirmed them.
        """
        words = hypothesis.split()
        n_agreed = _common_length(words, self._before)
        agrees_with_shown = _common_length(words, self._shown) == len(self._shown)
        self._before = words
        if not agrees_with_shown or n_agreed <= len(self._shown):
            return None
        self._shown += words[len(self._shown) : n_agreed]
        return " ".join(self._shown)


def _common_length(words: list[str], others: list[str]) -> int:
    """Return how many words both begin with."""
    pairs = zip(words, others, strict=False)
    return next(
        (i for i, (word, other) in enumerate(pairs) if _bare(word) != _bare(other)), min(len(words), len(others))
    )


def _bare(word: str) -> str:
    return _NOT_HEARD.sub("", word.casefold())
