"""flite speaks, and what it says is understood."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from app.backends import build_config
from app.errors import BackendRejected, BackendUnavailable, ConfigError
from app.tts.flite import FliteTts, spell_in_ascii
from app.tts.flite_library import VOICES
from tests.tts import contract


@pytest.fixture(scope="module")
def flite() -> FliteTts:
    """The voice that people hear."""
    return load()


@pytest.fixture(scope="module")
def quick() -> FliteTts:
    """The voice that costs least, for what does not depend on the voice."""
    return load(voice="kal16")


@pytest.fixture(scope="module")
def sentence(flite: FliteTts) -> contract.Spoken:
    return contract.speak(flite, contract.SENTENCE)


def load(**settings: Any) -> FliteTts:
    backend = FliteTts(FliteTts.Config(**settings))
    try:
        backend.load()
    except BackendUnavailable as error:
        pytest.skip(error.message)
    return backend


def test_a_sentence_is_heard(sentence: contract.Spoken) -> None:
    """Sound of a plausible length, in even pieces of one rate."""
    contract.check_sentence(sentence)
    assert sentence.rate == 16_000


def test_little_silence_stays_around(sentence: contract.Spoken) -> None:
    """flite's own 0.2 s of silence on each side are cut, so that sentences flow."""
    contract.check_silence_around(sentence)


def test_two_threads_at_once(quick: FliteTts) -> None:
    """Two callers at once both get their whole sentence."""
    contract.check_threads(quick)


def test_leaving_early(quick: FliteTts) -> None:
    """Closing the iterator after the first piece stops flite, and the next call works."""
    contract.check_early_close(quick)


@pytest.mark.parametrize("text", contract.ODD_TEXTS)
def test_odd_texts(quick: FliteTts, text: str) -> None:
    """No text ends the process: it is spoken or refused in words."""
    contract.check_odd_text(quick, text)


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_speaks(flite: FliteTts, voice: str) -> None:
    """A voice named in the call is used, whatever the configured one."""
    samples, rate, _ = contract.speak(flite, "Hello.", voice)
    assert rate == 16_000
    assert samples.any()


def test_unknown_voice(flite: FliteTts) -> None:
    """The error lists the voices there are."""
    with pytest.raises(BackendRejected, match="no voice 'bob'; known are awb, kal16, rms, slt"):
        list(flite.synthesize("Hello.", "bob"))


def test_speed(quick: FliteTts) -> None:
    """Twice the speed takes about half the time, and does not change the voice of other instances."""
    fast = load(voice="kal16", speed=2.0)
    before = len(contract.speak(quick, contract.SENTENCE).samples)
    assert 0.4 < len(contract.speak(fast, contract.SENTENCE).samples) / before < 0.65
    assert len(contract.speak(quick, contract.SENTENCE).samples) == before


def test_pitch(flite: FliteTts) -> None:
    """A raised pitch leaves the length alone: the same words, another voice."""
    usual, high = (contract.speak(voice, "Hello.").samples for voice in (flite, load(pitch=1.6)))
    assert 0.95 < len(high) / len(usual) < 1.05
    assert not np.array_equal(high, usual)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"voice": "bob"}, "allowed is 'awb'"), ({"speed": 0}, "0.3 to 3"), ({"pitch": 9.0}, "0.5 to 2")],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    """A setting out of range is refused at start, with what is allowed."""
    with pytest.raises(ConfigError, match=message):
        build_config(FliteTts.Config, settings, "tts.flite")


def test_missing_library_says_what_to_install() -> None:
    """Without libflite the error gives the command that installs it."""
    with pytest.raises(BackendUnavailable, match="apt-get install libflite1"):
        FliteTts(FliteTts.Config(library_folder="/nowhere")).load()


def test_synthesize_before_load() -> None:
    """Using the voice before it is loaded is an error that says so."""
    with pytest.raises(BackendUnavailable, match="call load"):
        list(FliteTts(FliteTts.Config()).synthesize("Hello."))


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("It’s 21 °C – café “Łódź”…", 'It\'s 21 degrees C , cafe "Lodz".'),
        ("Straße ﬁne 5 €", "Strasse fine 5 euros"),
        ("co\u00adoperate 👩‍🚀 now", "cooperate now"),
        ("你好\0\n", ""),
    ],
)
def test_spelling(text: str, spelt: str) -> None:
    """Accents fall away, common signs become words, the unsayable becomes a space."""
    assert spell_in_ascii(text) == spelt


@pytest.mark.engine
def test_a_recogniser_understands_the_default_voice(flite: FliteTts) -> None:
    """Of a few everyday sentences, pocketsphinx's general English model gets more than 60 % of the words."""
    pocketsphinx = pytest.importorskip("pocketsphinx")
    decoder = pocketsphinx.Decoder(samprate=16_000, loglevel="FATAL")
    errors = words = 0
    for sentence in (
        "The weather today is sunny with a light wind from the west.",
        "Please turn on the lights in the living room.",
        "The train to the city leaves in twenty minutes.",
    ):
        decoder.start_utt()
        decoder.process_raw(contract.speak(flite, sentence).samples.tobytes(), full_utt=True)
        decoder.end_utt()
        spoken = re.sub(r"[^a-z ]", "", sentence.lower()).split()
        errors += _count_word_errors(spoken, decoder.hyp().hypstr.split())
        words += len(spoken)
    assert errors / words < 0.4


def _count_word_errors(spoken: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(spoken, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]
