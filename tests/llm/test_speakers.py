"""Who says what in a reply of several characters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.speakers import find_speakers, split_speech
from tests.texts import any_text

NAMES = ("Anna", "Tom", "Ann", "Mary Ann", "O'Neil", "R2-D2")


def runs(*deltas: str, names: tuple[str, ...] = NAMES) -> list[tuple[str, str]]:
    """Return what each speaker says in one go, without blanks around it."""
    joined: list[tuple[str, str]] = []
    for character, text in find_speakers(deltas, names):
        if joined and joined[-1][0] == character:
            joined[-1] = (character, joined[-1][1] + text)
        else:
            joined.append((character, text))
    return [(character, text.strip()) for character, text in joined if text.strip()]


@pytest.mark.parametrize(
    "line",
    [
        "Tom: Hi.",
        "tom: Hi.",
        "TOM : Hi.",
        "  Tom:Hi.",
        "Tom：Hi.",
        "**Tom:** Hi.",
        "**Tom**: Hi.",
        "*Tom:* Hi.",
        "__Tom__: Hi.",
        "[Tom] Hi.",
        "[Tom]: Hi.",
        "**[Tom]** Hi.",
        "<Tom> Hi.",
        "<tom>Hi.",
        "Tom:\nHi.",
    ],
)
def test_the_forms_of_a_name(line: str) -> None:
    """Each form in which a model writes a speaker is understood, and nothing of it is left."""
    assert runs(line) == [("Tom", "Hi.")]
    assert runs(f"Hello.\n{line}\nAnna: Bye.") == [("Anna", "Hello."), ("Tom", "Hi."), ("Anna", "Bye.")]


@pytest.mark.parametrize(
    "line",
    [
        "Tommy: no.",
        "Tom says: no.",
        "Tom",
        "Tom.",
        "I heard Tom: no.",
        "Eve: no.",
        "[Tom](https://example.org) wrote it.",
        "[Tom is here]",
        "<Tommy>",
        "(Tom) laughs.",
        "The time: ten.",
        "Mary: no.",
        ": no.",
        "**bold** text",
    ],
)
def test_what_is_no_name(line: str) -> None:
    """Anything else is text, not a letter of which is lost."""
    assert "".join(text for _, text in find_speakers([line], NAMES)) == line
    assert runs(line) == [("Anna", line)]


@pytest.mark.parametrize(
    ("line", "name"),
    [("Ann: Hi.", "Ann"), ("Mary Ann: Hi.", "Mary Ann"), ("O’Neil: Hi.", "O'Neil"), ("r2-d2: Hi.", "R2-D2")],
)
def test_names_that_are_alike_or_unusual(line: str, name: str) -> None:
    """The longest name counts, typographic apostrophes and capitals make no difference."""
    assert runs(line) == [(name, "Hi.")]


def test_emphasis_over_name_and_words() -> None:
    """A whole line in bold keeps its emphasis in pairs, so that no asterisk is spoken."""
    assert runs("**Tom: Stop!**") == [("Tom", "**Stop!**")]
    assert list(split_speech(["**Tom: Stop!** Now."], NAMES)) == [("Tom", "Stop!"), ("Tom", "Now.")]


def test_a_new_speaker_ends_the_sentence_before() -> None:
    """Two characters are never in one sentence, also without a full stop between them."""
    text = "Anna: And then\nTom: There was light\nAnna: Was there?"
    assert list(split_speech([text], NAMES)) == [
        ("Anna", "And then"),
        ("Tom", "There was light"),
        ("Anna", "Was there?"),
    ]


def test_only_the_first_piece_of_all_may_end_early() -> None:
    """A later speaker's first sentence is not cut at its comma: speech has begun already."""
    words = "this is a long beginning, and it goes on"
    assert list(split_speech([f"Anna: {words}.\nTom: {words}."], NAMES)) == [
        ("Anna", "this is a long beginning,"),
        ("Anna", "and it goes on."),
        ("Tom", f"{words}."),
    ]


def test_a_single_character_may_write_its_own_name() -> None:
    """The name of one who speaks alone is not spoken either."""
    assert runs("Tom: Hi.\nAnna: Bye.", names=("Tom",)) == [("Tom", "Hi.\nAnna: Bye.")]


def test_without_characters_names_are_text() -> None:
    """Where nobody has a name, nothing is taken out."""
    assert list(split_speech(["Tom: Hi."], ())) == [("", "Tom: Hi.")]


def test_a_name_without_words() -> None:
    """Who is named and says nothing has no sentence."""
    assert list(split_speech(["Anna:\nTom: Hi.\nAnna:"], NAMES)) == [("Tom", "Hi.")]


@pytest.mark.parametrize(
    ("deltas", "given_after"),
    [
        (["Hello", " you"], ["Hello", " you"]),
        (["Tom", "my is", " here"], ["", "Tommy is", " here"]),
        (["Hi\n", "An", "d now"], ["Hi\n", "", "And now"]),
        (["<", "b>bold"], ["", "<b>bold"]),
        (["Tom: h", "i"], [" h", "i"]),
    ],
)
def test_no_more_is_held_back_than_a_name_needs(deltas: list[str], given_after: list[str]) -> None:
    """A line that cannot begin with a name any more is passed on at once."""
    n_read = 0

    def reading() -> Iterator[str]:
        nonlocal n_read
        for delta in deltas:
            n_read += 1
            yield delta

    given_at = [""] * len(deltas)
    for _, text in find_speakers(reading(), ("Anna", "Tom")):
        given_at[n_read - 1] += text
    assert given_at == given_after


def test_a_sentence_is_given_before_the_next_speaker_is_written() -> None:
    """The voice gets a sentence as soon as its line is complete and the next name is known."""

    def until_second_name() -> Iterator[str]:
        yield from ("Anna: Is it so", "?\n", "Tom:")
        raise AssertionError("more was read than was needed")

    assert next(split_speech(until_second_name(), NAMES)) == ("Anna", "Is it so?")


lines = st.tuples(st.sampled_from(NAMES), st.sampled_from(["{}: ", "**{}:** ", "[{}] ", "<{}>", "{} : "])).flatmap(
    lambda head: st.tuples(st.just(head[0]), st.just(head[1].format(head[0])), any_text(12).map(unlike_a_name))
)


def unlike_a_name(text: str) -> str:
    """Return a text of one line that no name begins or ends within."""
    return "x" + "".join(c for c in text if c not in "\n*_" and c.isalpha()) + "."


@given(st.lists(lines, max_size=6))
def test_every_line_goes_to_its_speaker(script: list[tuple[str, str, str]]) -> None:
    """A dialogue is parted as it was written."""
    text = "\n".join(head + words for _, head, words in script)
    parted = [(name, part.strip()) for name, said in runs(text) for part in said.split("\n")]
    assert parted == [(name, words) for name, _, words in script]


@given(
    st.lists(
        st.one_of(st.sampled_from([*NAMES, ":", "**", "[", "]", "<", ">", "(", "\n", " "]), any_text(5)), max_size=20
    ),
    st.lists(st.integers(0, 80), max_size=8),
)
def test_cuts_make_no_difference(parts: list[str], cuts: list[int]) -> None:
    """However the text is cut into deltas, the same is said by the same; without a name nothing is lost."""
    text = "".join(parts)
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    deltas = [text[a:b] for a, b in itertools.pairwise(places)]
    assert list(find_speakers(deltas, NAMES)) == list(find_speakers([text], NAMES))
    assert "".join(said for _, said in find_speakers(deltas, ("Nobody of this name",))) == text
