"""Decoders of pocketsphinx: how they are made, and how they are given speech."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.audio.pcm import SPEECH_RATE_HZ
from app.stt.language_model import trigram_arpa

if TYPE_CHECKING:
    from pocketsphinx import Decoder

_BLOCK_BYTES = 2 * SPEECH_RATE_HZ // 4
_PRONUNCIATION_NUMBER = re.compile(r"\(\d+\)$")
_QUICK = {"beam": 1e-40, "pbeam": 1e-40, "wbeam": 1e-25, "maxhmmpf": 2000, "bestpath": False}
"""Halves the time, and hears the beginnings of commands as well."""


def decode_whole(decoder: Any, pcm16: bytes) -> str:
    """Return the words that a decoder hears; other threads wait until it has."""
    decoder.reinit_feat()  # Each utterance may come from another microphone: the running mean starts anew.
    decoder.start_utt()
    decoder.process_raw(pcm16, full_utt=True)
    decoder.end_utt()
    return words_of(decoder.hyp())


def decode_in_blocks(decoder: Any, pcm16: bytes, cepstral_mean: str) -> str:
    """Return the words that a decoder hears; other threads run between the blocks.

    cepstral_mean: of this very utterance, from another decoder.  With it the text is as good as that of the whole
    utterance at once; without it a third more words are wrong.
    """
    decoder.reinit_feat()
    decoder.set_cmn(cepstral_mean)
    decoder.start_utt()
    for start in range(0, len(pcm16), _BLOCK_BYTES):
        decoder.process_raw(pcm16[start : start + _BLOCK_BYTES])
    decoder.end_utt()
    return words_of(decoder.hyp())


def words_of(hypothesis: Any) -> str:
    """Return the words without the marks of silence and noise, and without the numbers of pronunciations."""
    words = hypothesis.hypstr.split() if hypothesis else ()
    return " ".join(_PRONUNCIATION_NUMBER.sub("", word) for word in words if word[0] not in "<[+")


def load_command_decoders(sentences: Sequence[str], n_quick: int = 0) -> list[Decoder]:
    """Make a decoder that hears these sentences, and after it quicker ones; what has no pronunciation is left out.

    Their dictionary holds the words of the sentences only: pocketsphinx enters every word of the dictionary into a
    table of the size of the language model's vocabulary, which takes many seconds when the one is large and the other
    small.
    """
    from pocketsphinx import Decoder, get_model_path

    full_dictionary = Path(get_model_path("en-us/cmudict-en-us.dict"))
    pronunciations = read_pronunciations(full_dictionary, {word for sentence in sentences for word in sentence.split()})
    known = [sentence for sentence in sentences if all(word in pronunciations for word in sentence.split())]
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        model, dictionary = Path(folder, "commands.lm"), Path(folder, "commands.dict")
        model.write_text(trigram_arpa(known), encoding="utf-8")
        dictionary.write_text("".join(line for lines in pronunciations.values() for line in lines), encoding="utf-8")
        # A second pass over the words of the first takes half as much time again and mends nothing in a small model.
        settings: dict[str, Any] = {"loglevel": "FATAL", "lm": str(model), "dict": str(dictionary), "fwdflat": False}
        return [Decoder(**settings), *(Decoder(**settings, **_QUICK) for _ in range(n_quick))]


def read_pronunciations(dictionary: Path, words: set[str]) -> dict[str, list[str]]:
    """Return the lines of a CMU dictionary for these words; a word may have several pronunciations."""
    found: dict[str, list[str]] = {}
    with dictionary.open(encoding="utf-8") as lines:
        for line in lines:
            word = _PRONUNCIATION_NUMBER.sub("", line.partition(" ")[0])
            if word in words:
                found.setdefault(word, []).append(line)
    return found
