"""English speech to text by pocketsphinx, in this process, offline: commands well, dictation poorly."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from app.audio.pcm import SPEECH_RATE_HZ
from app.errors import BackendUnavailable
from app.intents.grammar import Grammar, load_grammar
from app.settings import Count, Range, SecondsOrZero
from app.stt.backend import Hypothesis
from app.stt.glimpses import ArrivalPace, Glimpser
from app.stt.speech_pieces import WINDOW_S, follow_speech
from app.stt.sphinx_decoders import decode_in_blocks, decode_whole, load_command_decoders

if TYPE_CHECKING:
    from pocketsphinx import Decoder

log = logging.getLogger(__name__)

_SENTENCES_PER_TEMPLATE = 24
_MAX_SENTENCES_PER_TEMPLATE = 100
_MAX_WORDS_PER_FRAME = 30
_LETTERS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_N_GLIMPSERS = 2
"""Utterances whose words appear at the same time; each takes about 7 % of a core."""
_NOISE_WORDS = {"a", "ah", "and", "eh", "hm", "hmm", "huh", "it", "mm", "oh", "the", "uh", "um"}
"""What the dictation model makes of a breath or a bump when it stands alone."""


class PocketsphinxStt:
    """Recognises English with the models in the pocketsphinx wheel; load it in a worker process, it holds the GIL.

    Each utterance is decoded with a language model made of the sentences that the reply engine understands.  What comes
    out is taken when it is such a sentence; else the general English model decodes the utterance again, eight times as
    slowly.  Source: github.com/cmusphinx/pocketsphinx, release 5.1.
    """

    @dataclass(frozen=True)
    class Config:
        """What is listened for, and how closely."""

        language: str = "en"
        "What is spoken, as a BCP 47 tag; only English has a model."
        names: tuple[str, ...] = ()
        "Things that can be named in a command; a few usual ones when empty."
        areas: tuple[str, ...] = ()
        "Rooms that can be named in a command; a few usual ones when empty."
        sure_words: Count = 3
        "A command of so many words is taken at once; a shorter one only when the general model hears about the same."
        max_difference: Annotated[float, Range(0, 1)] = 0.4
        "How far the general model's text may be from that of a short command: edits per letter, 0 to 1."
        min_speech_s: SecondsOrZero = 0.18
        "Less voice than that is a noise, in seconds."
        partial_s: SecondsOrZero = 0.3
        "While somebody speaks, commands are looked for after so much more speech, in seconds; 0 for only at the end."
        language_weight: Annotated[float, Range(1, 20)] = 6.0
        "How much the general model trusts likely words over sounds."
        beam: Annotated[float, Range(1e-80, 1e-20)] = 1e-48
        "How unlikely a path the general model still follows: smaller is more accurate and slower."
        max_paths: Count = 5000
        "How many paths the general model follows at once; it bounds the time that noise takes."

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._beginnings: frozenset[str] = frozenset()
        self._free_glimpsers: deque[Decoder] = deque()
        self._grammar: Grammar | None = None
        self._commands: Decoder | None = None
        self._dictation: Decoder | None = None

    def load(self) -> None:
        """Load the general model and make that of the commands; raise BackendUnavailable that says what is missing."""
        config = self._config
        if config.language.lower().split("-")[0] != "en":
            raise BackendUnavailable(
                f"pocketsphinx comes with English only, not {config.language!r}; choose another stt backend"
            )
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise BackendUnavailable(f"pocketsphinx cannot be loaded ({error}); pip install pocketsphinx") from error
        self._grammar = load_grammar(config.language, config.names, config.areas)
        n_names = max(len(config.names), len(config.areas))
        sentences = self._grammar.sample_sentences(
            min(max(_SENTENCES_PER_TEMPLATE, n_names), _MAX_SENTENCES_PER_TEMPLATE)
        )
        self._commands, *quick = load_command_decoders(sentences, _N_GLIMPSERS if config.partial_s else 0)
        self._free_glimpsers.extend(quick)
        self._beginnings = beginnings_of(sentences, config.sure_words)
        self._warn_of_unknown_words()
        self._dictation = Decoder(
            loglevel="FATAL",
            beam=config.beam,
            pbeam=config.beam,
            lw=config.language_weight,
            maxhmmpf=config.max_paths,
            maxwpf=_MAX_WORDS_PER_FRAME,
        )

    def transcribe(self, chunks: Iterable[bytes]) -> Iterator[Hypothesis]:
        """Yield what was said: of a command its words while it is spoken, after each piece of a long utterance what is
        known so far, at last the whole.

        The text is in lower case, without punctuation, numbers as words.
        """
        if self._grammar is None:
            raise BackendUnavailable("pocketsphinx is not loaded; call load() before transcribe()")
        from pocketsphinx import Vad

        is_voiced = Vad(Vad.MEDIUM_STRICT, SPEECH_RATE_HZ, WINDOW_S).is_speech
        pace, glimpser = ArrivalPace(self._clock), Glimpser(self._free_glimpsers, self._clock)
        texts: list[str] = []
        try:
            for piece in follow_speech(
                pace.count(chunks), is_voiced, self._config.min_speech_s, self._config.partial_s
            ):
                if not piece.is_over:
                    # A whole utterance that is decoded has the interpreter; a glimpse would only take its time.
                    if pace.is_live() and not self._lock.locked() and (words := glimpser.look(piece.pcm16)) is not None:
                        yield Hypothesis(" ".join([*texts, *self._beginning(words)]), is_final=False, language="en")
                    continue
                glimpser.end()
                if texts:
                    yield Hypothesis(" ".join(texts), is_final=False, language="en")
                with self._lock:
                    text = self._recognise(piece.pcm16)
                if text:
                    texts.append(text)
        finally:
            glimpser.end()
        text = " ".join(texts)
        yield Hypothesis("" if text in _NOISE_WORDS else text, is_final=True, language="en")

    def close(self) -> None:
        """Free the models."""
        self._grammar = self._commands = self._dictation = None
        self._free_glimpsers.clear()

    def _warn_of_unknown_words(self) -> None:
        words = {word for name in self._config.names + self._config.areas for word in _LETTERS.findall(name.lower())}
        if unknown := sorted(word for word in words if not self._commands or not self._commands.lookup_word(word)):
            log.warning(
                "no pronunciation is known of %s: commands with these words will not be understood; name the things "
                "with English words",
                ", ".join(unknown),
            )

    def _beginning(self, words: str) -> Iterator[str]:
        """Yield the words when commands begin like this.

        The decoder of commands hears nothing else, whatever is said.  It is believed when the whole of what it hears
        is how a command begins: other speech seldom comes out like this twice.
        """
        if words in self._beginnings:
            yield words

    def _recognise(self, pcm16: bytes) -> str:
        assert self._grammar is not None
        command = decode_whole(self._commands, pcm16)
        if command and self._grammar.parse(command) is None:
            command = ""
        return choose_text(command, lambda: self._dictate(pcm16), self._config)

    def _dictate(self, pcm16: bytes) -> str:
        """Decode what the decoder of commands has decoded just now."""
        assert self._commands is not None
        return decode_in_blocks(self._dictation, pcm16, self._commands.get_cmn())


def beginnings_of(sentences: Iterable[str], min_words: int) -> frozenset[str]:
    """Return with what, of so many words and more, the sentences begin."""
    split = {tuple(sentence.split()) for sentence in sentences}
    return frozenset(" ".join(words[:n]) for words in split for n in range(min_words, len(words) + 1))


def choose_text(command: str, dictate: Callable[[], str], config: PocketsphinxStt.Config) -> str:
    """Return the command when it was very probably spoken, else what dictation hears.

    command: a sentence of the grammar, empty for none.  dictate: decodes with the general model, slowly.
    """
    if len(command.split()) >= config.sure_words:
        return command
    dictated = dictate()
    return command if command and difference(command, dictated) <= config.max_difference else dictated


def difference(text: str, reference: str) -> float:
    """Return the character error rate: edits that make `text` of `reference`, per character of `reference`."""
    if not reference:
        return float(bool(text))
    row = list(range(len(text) + 1))
    for n_deleted, expected in enumerate(reference, 1):
        left_above, row[0] = row[0], n_deleted
        for i, found in enumerate(text, 1):
            left_above, row[i] = row[i], min(row[i] + 1, row[i - 1] + 1, left_above + (found != expected))
    return row[-1] / len(reference)
