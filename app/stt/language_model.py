"""A word trigram model of example sentences, written as an ARPA file that speech decoders read.

Absolute discounting with interpolation (Ney, Essen and Kneser 1994, "On structuring probabilistic dependences in
stochastic language modelling"): every seen n-gram gives up a fixed part of its count, and what a history collects that
way is spread over all words by the model that is one word shorter.  Written in back-off form this is exact: the weight
of a history is the very mass it collected.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

START, END = "<s>", "</s>"
DISCOUNT = 0.5
"Counts taken from each seen n-gram; one half suits sentences made from templates, where hardly anything is rare."

Ngram = tuple[str, ...]
Probabilities = dict[Ngram, float]


def trigram_arpa(sentences: Iterable[str], discount: float = DISCOUNT) -> str:
    """Return the ARPA text of the trigram model of `sentences`.

    sentences: words separated by spaces, spelled and cased as the decoder's dictionary has them.
    discount: 0 < discount < 1, in counts.  Raises ValueError if there is no word in `sentences`.
    """
    stream = [word for sentence in sentences if (words := sentence.split()) for word in (START, *words, END)]
    if not stream:
        raise ValueError("a language model needs at least one sentence with a word in it")
    probabilities = [_unigrams(stream)]
    weights: list[Probabilities] = []
    for order in (2, 3):
        longer, weight = _interpolate(_count(stream, order), probabilities[-1], discount)
        probabilities.append(longer)
        weights.append(weight)
    return _write(probabilities, weights)


def _unigrams(stream: list[str]) -> Probabilities:
    counts = Counter(stream)
    counts[START] = 0  # It opens every sentence and is never predicted.
    total = counts.total()
    return {(word,): count / total for word, count in counts.items()}


def _count(stream: list[str], order: int) -> dict[Ngram, int]:
    """Count the n-grams, less those that reach from one sentence into the next."""
    counts: Counter[Ngram] = Counter(zip(*(stream[i:] for i in range(order)), strict=False))
    return {ngram: n for ngram, n in counts.items() if START not in ngram[1:]}


def _interpolate(
    counts: Mapping[Ngram, int], shorter: Mapping[Ngram, float], discount: float
) -> tuple[Probabilities, Probabilities]:
    """Return the probability of each n-gram, and the back-off weight of each history."""
    totals: Counter[Ngram] = Counter()
    kinds: Counter[Ngram] = Counter()
    for ngram, count in counts.items():
        totals[ngram[:-1]] += count
        kinds[ngram[:-1]] += 1
    weights = {history: discount * kinds[history] / total for history, total in totals.items()}
    probabilities = {
        ngram: (count - discount) / totals[ngram[:-1]] + weights[ngram[:-1]] * shorter[ngram[1:]]
        for ngram, count in counts.items()
    }
    return probabilities, weights


def _write(probabilities: list[Probabilities], weights: list[Probabilities]) -> str:
    lines = ["\\data\\", *(f"ngram {n}={len(ngrams)}" for n, ngrams in enumerate(probabilities, 1))]
    for n, ngrams in enumerate(probabilities, 1):
        lines += ["", f"\\{n}-grams:"]
        backoff = weights[n - 1] if n <= len(weights) else None
        for ngram in sorted(ngrams):
            line = f"{_log10(ngrams[ngram]):.5f}\t{' '.join(ngram)}"
            lines.append(line if backoff is None else f"{line}\t{_log10(backoff.get(ngram, 1.0)):.5f}")
    return "\n".join([*lines, "", "\\end\\", ""])


def _log10(probability: float) -> float:
    return math.log10(probability) if probability > 0 else -99.0
