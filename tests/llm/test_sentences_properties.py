"""What holds for every reply, however it is written and cut into deltas."""

from hypothesis import given
from hypothesis import strategies as st

from app.llm.sentences import split_sentences
from tests.texts import any_text

PLAIN = "abcdefghijklmnopqrstuvxyzABCÉßñ0123456789你好我是中国人カナひら안녕"
ENDS = [
    ". ",
    "! ",
    "? ",
    "... ",
    "… ",
    "?! ",
    "。",
    "！",
    "？",
    "；",
    "．",
    "\n",
    "\n\n",
    '." ',
    '!" and ',
    "。”",
    "？」",
]
CLAUSES = [
    ", ",
    "; ",
    ": ",
    " — ",
    "—",
    "，",
    "、",
    "：",
    " ",
    " ",
    " ",
    ". ",
    ".",
    " (",
    ") ",
    ' "',
    "“",
    "「",
    "'",
    "« ",
    " »",
]
ABBREVIATIONS = [
    "Dr.",
    "e.g.",
    "U.S.",
    "a.m.",
    "No.",
    "etc.",
    "J.",
    "3.14",
    "1,000",
    "v1.2.3",
    "10:30",
    "a.b@c.de",
    "z. B.",
]
MARKUP = [
    "**",
    "*",
    "_",
    "`",
    "~~",
    "[",
    "]",
    "](u)",
    "![",
    "# ",
    "- ",
    "> ",
    "\n",
    "\n\n",
    "\n```\n",
    "<b>",
    "</b>",
    "<br>",
]
OTHER = [
    "<!--",
    "-->",
    "<",
    ">",
    "&amp;",
    "&",
    "\\",
    "|",
    "\n| ",
    "https://a.b/c",
    "www.",
    "🎉",
    "👍🏽",
    "\u200d",
    "\x00",
    "e\u0301",
]

words = st.text(PLAIN, min_size=1, max_size=8)
prose = st.lists(
    st.one_of(words, words, st.sampled_from(ENDS), st.sampled_from(CLAUSES), st.sampled_from(ABBREVIATIONS))
)
plain_texts = prose.map("".join)
marked_texts = st.lists(
    st.one_of(words, *map(st.sampled_from, (ENDS, CLAUSES, ABBREVIATIONS, MARKUP, OTHER))), max_size=60
).map("".join)
any_texts = st.one_of(marked_texts, any_text(max_size=80), st.text("*_`[]()!#->|<&;\\~ \nahw:/.", max_size=60))
limits = st.integers(1, 60)


@st.composite
def texts_in_deltas(draw):
    text = draw(any_texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    return text, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(texts_in_deltas(), limits, limits)
def test_pieces_do_not_depend_on_the_deltas(cut_text, first_min_chars, max_chars):
    """However a text is cut into deltas, the pieces are the same."""
    text, deltas = cut_text
    whole = list(split_sentences([text], first_min_chars=first_min_chars, max_chars=max_chars))
    assert list(split_sentences(deltas, first_min_chars=first_min_chars, max_chars=max_chars)) == whole
    assert list(split_sentences(text, first_min_chars=first_min_chars, max_chars=max_chars)) == whole


@given(any_texts, limits, limits)
def test_pieces_are_speakable_and_within_the_limit(text, first_min_chars, max_chars):
    """No piece is blank, without a letter or digit, longer than the limit or untidy."""
    for piece in split_sentences(text, first_min_chars=first_min_chars, max_chars=max_chars):
        assert 0 < len(piece) <= max_chars
        assert any(map(str.isalnum, piece))
        assert piece == " ".join(piece.split())


@given(plain_texts, limits, limits)
def test_no_letter_of_plain_text_is_lost_or_said_twice(text, first_min_chars, max_chars):
    """Whatever the limits, the letters and digits come out in order."""
    pieces = split_sentences(text, first_min_chars=first_min_chars, max_chars=max_chars)
    assert letters("".join(pieces)) == letters(text)


@given(
    st.lists(st.tuples(st.lists(words, min_size=1, max_size=5), st.sampled_from(ENDS[:11])), min_size=1, max_size=12)
)
def test_no_character_of_sentences_is_lost(sentences):
    """Sentences of words keep their marks as well; only white space may change."""
    text = "".join(" ".join(sentence) + end for sentence, end in sentences)
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


wrappers = st.sampled_from(
    [
        "{}",
        "**{}**",
        "*{}*",
        "_{}_",
        "~~{}~~",
        "`{}`",
        "[{}](https://x.yz/%20)",
        "![{}](x.png)",
        "<b>{}</b>",
        "({})",
        '"{}"',
    ]
)
openers = st.sampled_from(["", "# ", "### ", "- ", "* ", "> ", "> - ", "- [ ] ", "7. ", "| ", "  "])
spans = st.tuples(wrappers, st.lists(words, min_size=1, max_size=3).map(" ".join))
lines = st.tuples(openers, st.lists(spans, min_size=1, max_size=4), st.sampled_from(["", ".", "!", "。", "  ", " |"]))


@given(st.lists(lines, min_size=1, max_size=6), limits)
def test_letters_survive_markdown(written, max_chars):
    """The letters and digits of Markdown come out in order, without markup and link targets."""
    text = "\n".join(start + " ".join(w.format(t) for w, t in line) + end for start, line, end in written)
    expected = "".join(start + "".join(t for _, t in line) for start, line, _ in written)
    assert letters("".join(split_sentences(text, max_chars=max_chars))) == letters(expected)


@given(st.text("ab c", min_size=1), st.integers(1, 5))
def test_fenced_code_is_never_spoken(code, n_lines):
    """Whatever stands in a fence, the text around it is all that is said."""
    fence = "```x\n" + "".join(f"{code}.\n" for _ in range(n_lines)) + "```\n"
    assert list(split_sentences(f"Before:\n{fence}After.")) == ["Before:", "After."]


def letters(text):
    return "".join(filter(str.isalnum, text))
