"""The language model is a probability model, in a form that decoders read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stt.language_model import END, START, trigram_arpa

SENTENCES = (
    "turn on the lamp",
    "turn off the lamp",
    "turn on the light",
    "what time is it",
    "stop",
    "turn on the lamp",
)
Model = dict[tuple[str, ...], tuple[float, float]]


def read_arpa(text: str) -> Model:
    """Return probability and back-off weight of each n-gram; check the counts in the header."""
    announced = [int(n) for n in re.findall(r"^ngram \d=(\d+)$", text, re.MULTILINE)]
    model: Model = {}
    for line in text.splitlines():
        if "\t" in line:
            log_probability, words, *weight = line.split("\t")
            model[tuple(words.split())] = (10 ** float(log_probability), 10 ** float(weight[0]) if weight else 1.0)
    assert announced == [sum(len(ngram) == order for ngram in model) for order in (1, 2, 3)]
    assert text.startswith("\\data\\\n")
    assert text.endswith("\n\\end\\\n")
    return model


def probability(model: Model, history: tuple[str, ...], word: str) -> float:
    """Return the probability of a word, backing off as a decoder does."""
    if (*history, word) in model or not history:
        return model[(*history, word)][0]
    return model.get(history, (0.0, 1.0))[1] * probability(model, history[1:], word)


def check_sums(model: Model) -> None:
    words = [ngram[0] for ngram in model if len(ngram) == 1 and ngram != (START,)]
    histories = [(), *(ngram for ngram in model if len(ngram) < 3 and ngram[-1] != END)]
    for history in histories:
        assert sum(probability(model, history, word) for word in words) == pytest.approx(1, abs=2e-3), history


def test_probabilities_sum_to_one() -> None:
    """After every history the probabilities of all words add up to one."""
    check_sums(read_arpa(trigram_arpa(SENTENCES)))


@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12))
def test_probabilities_of_any_sentences_sum_to_one(sentences: list[str]) -> None:
    """No set of sentences makes a history whose probabilities do not add up to one."""
    check_sums(read_arpa(trigram_arpa(sentences)))


def test_what_was_said_more_often_is_more_likely() -> None:
    """Counts decide, and what was never said stays possible."""
    model = read_arpa(trigram_arpa(SENTENCES))
    lamp = probability(model, ("on", "the"), "lamp")
    light = probability(model, ("on", "the"), "light")
    time = probability(model, ("on", "the"), "time")
    assert lamp > light > time > 0


def test_a_sentence_is_never_begun_twice() -> None:
    """The mark of the beginning is a history only."""
    assert read_arpa(trigram_arpa(SENTENCES))[(START,)][0] < 1e-90


@pytest.mark.parametrize("sentences", [(), ("",), ("  ", "")])
def test_no_words_make_no_model(sentences: tuple[str, ...]) -> None:
    """Without a word there is nothing to expect."""
    with pytest.raises(ValueError, match="at least one sentence"):
        trigram_arpa(sentences)


def test_pocketsphinx_reads_it(tmp_path: Path) -> None:
    """The decoder takes the file and gives the probabilities that are in it."""
    pocketsphinx = pytest.importorskip("pocketsphinx")
    path = tmp_path / "test.lm"
    text = trigram_arpa(SENTENCES)
    path.write_text(text, encoding="utf-8")
    decoder = pocketsphinx.Decoder(loglevel="FATAL", lm=None, dict=None, lw=1, wip=1)
    model = pocketsphinx.NGramModel(decoder.config, decoder.logmath, str(path))
    expected = read_arpa(text)
    for words in (("turn",), ("turn", "on"), ("turn", "on", "the"), ("on", "the", "time")):
        log_probability = model.prob(list(reversed(words)))
        assert decoder.logmath.exp(log_probability) == pytest.approx(
            probability(expected, words[:-1], words[-1]), rel=0.05
        )
