"""Words that are shown while a person speaks are confirmed, and never taken back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stt.agreement import Agreement

WORDS = st.sampled_from(["What", "what", "time,", "time", "is", "it", "it?", "–", "turn", "on"])
HYPOTHESES = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=12)


def shown(hypotheses: list[str]) -> list[str | None]:
    """Return what each of the hypotheses makes appear."""
    agreement = Agreement()
    return [agreement.add(hypothesis) for hypothesis in hypotheses]


def bare(text: str) -> list[str]:
    return ["".join(filter(str.isalnum, word.casefold())) for word in text.split()]


@pytest.mark.parametrize(
    ("hypotheses", "expected"),
    [
        ([], []),
        (["what"], [None]),
        (["what", "what"], [None, "what"]),
        (["what", "what time", "what time is it"], [None, "what", "what time"]),
        (["what time", "what time", "what time"], [None, "what time", None]),
        (["what", "what", "white", "white lamp", "what time", "what time"], [None, "what", *[None] * 3, "what time"]),
        (["What,", "what time", "What? Time is"], [None, "what", "what Time"]),
        (["turn", "", "turn", "turn"], [None, None, None, "turn"]),
    ],
)
def test_what_two_hypotheses_agree_on(hypotheses: list[str], expected: list[str | None]) -> None:
    """A word appears when it is heard twice in a row in the same place; case and punctuation do not count."""
    assert shown(hypotheses) == expected


@given(HYPOTHESES)
def test_what_is_shown_only_grows(hypotheses: list[str]) -> None:
    """Each text that is shown begins with the one before, letter by letter, and is longer."""
    texts = [text for text in shown(hypotheses) if text is not None]
    assert all(later.split()[: len(earlier.split())] == earlier.split() for earlier, later in pairwise(texts))
    assert all(len(earlier.split()) < len(later.split()) for earlier, later in pairwise(["", *texts]))


@given(HYPOTHESES)
def test_what_is_shown_was_heard_twice(hypotheses: list[str]) -> None:
    """Each text is what the newest two hypotheses both begin with, but for case and punctuation."""
    for (before, now), text in zip(pairwise(["", *hypotheses]), shown(hypotheses), strict=True):
        if text is not None:
            n_words = len(text.split())
            assert bare(before)[:n_words] == bare(now)[:n_words] == bare(text)


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_a_sure_recogniser_is_one_step_behind(words: list[str]) -> None:
    """Of hypotheses that only grow, each makes appear what the one before had said."""
    hypotheses = [" ".join(words[:n]) for n in range(1, len(words) + 1)]
    assert [text and len(text.split()) for text in shown(hypotheses)] == [None, *range(1, len(words))]
