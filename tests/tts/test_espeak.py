"""espeak speaks many languages."""

from __future__ import annotations

import pytest

from app.backends import build_config
from app.errors import BackendRejected, BackendUnavailable, ConfigError
from app.tts.espeak import EspeakTts, find_voice
from app.tts.espeak_library import EspeakVoice, open_library
from tests.tts import contract


@pytest.fixture(scope="module")
def espeak() -> EspeakTts:
    pytest.importorskip("espeakng_loader")
    backend = EspeakTts(EspeakTts.Config())
    backend.load()
    return backend


@pytest.fixture(scope="module")
def sentence(espeak: EspeakTts) -> contract.Spoken:
    return contract.speak(espeak, contract.SENTENCE)


def test_a_sentence_is_heard(sentence: contract.Spoken) -> None:
    """Sound of a plausible length, in even pieces of one rate."""
    contract.check_sentence(sentence)


def test_a_breath_follows(sentence: contract.Spoken) -> None:
    """espeak stops at its last sound: a little silence is added, so that sentences do not run together."""
    contract.check_silence_around(sentence)


def test_two_threads_at_once(espeak: EspeakTts) -> None:
    """Two callers at once both get their whole sentence."""
    contract.check_threads(espeak)


def test_leaving_early(espeak: EspeakTts) -> None:
    """Closing the iterator after the first piece stops espeak, and the next call works."""
    contract.check_early_close(espeak)


@pytest.mark.parametrize("text", contract.ODD_TEXTS)
def test_odd_texts(espeak: EspeakTts, text: str) -> None:
    """No text ends the process: it is spoken or refused in words."""
    contract.check_odd_text(espeak, text)


@pytest.mark.parametrize(
    ("voice", "text"), [("fr", "Bonjour à tous."), ("gmw/de", "Guten Tag."), ("Russian", "Привет"), ("zh-CN", "你好")]
)
def test_other_languages(espeak: EspeakTts, voice: str, text: str) -> None:
    """A language tag, an identifier and an English name each choose a voice."""
    samples, rate, _ = contract.speak(espeak, text, voice)
    assert len(samples) / rate > 0.4


@pytest.mark.parametrize(
    ("wanted", "identifier"),
    [
        ("en-gb", "gmw/en"),
        ("EN_US", "gmw/en-US"),
        ("English (America)", "gmw/en-US"),
        ("roa/fr-BE", "roa/fr-BE"),
        ("fr", "roa/fr"),
        ("de-AT", "gmw/de"),
        ("en-us+f3", "gmw/en-US+f3"),
    ],
)
def test_finding_a_voice(wanted: str, identifier: str) -> None:
    """The voice of the best rank is found, region and variant included."""
    voices = (
        EspeakVoice("gmw/en-029", "English (Caribbean)", ((5, "en-029"), (10, "en"))),
        EspeakVoice("gmw/en", "English (Great Britain)", ((2, "en-gb"), (2, "en"))),
        EspeakVoice("gmw/en-US", "English (America)", ((2, "en-us"), (3, "en"))),
        EspeakVoice("roa/fr-BE", "French (Belgium)", ((5, "fr-be"), (8, "fr"))),
        EspeakVoice("roa/fr", "French (France)", ((5, "fr-fr"), (5, "fr"))),
        EspeakVoice("gmw/de", "German", ((5, "de"),)),
    )
    assert find_voice(wanted, voices) == identifier


def test_every_voice_is_found_by_its_identifier(espeak: EspeakTts) -> None:
    """What the library lists can be chosen."""
    voices = open_library("").voices
    assert len(voices) > 100
    assert all(find_voice(voice.identifier, voices) == voice.identifier for voice in voices)


@pytest.mark.parametrize("voice", ["germn", "no such voice", "+f3"])
def test_unknown_voice(espeak: EspeakTts, voice: str) -> None:
    """The error names voices that exist."""
    with pytest.raises(BackendRejected, match=r"no voice .*(german|en-us)"):
        list(espeak.synthesize("Hello.", voice))


def test_unknown_configured_voice() -> None:
    """A configured voice that does not exist is found at load, not at the first sentence."""
    pytest.importorskip("espeakng_loader")
    with pytest.raises(BackendRejected, match="no voice 'germn'; near are german"):
        EspeakTts(EspeakTts.Config(voice="germn")).load()


def test_speed(espeak: EspeakTts, sentence: contract.Spoken) -> None:
    """Twice the speed takes clearly less time, and does not change the voice of other instances."""
    fast = EspeakTts(EspeakTts.Config(speed_wpm=330))
    fast.load()
    ratio = len(contract.speak(fast, contract.SENTENCE).samples) / len(sentence.samples)
    assert 0.4 < ratio < 0.65
    again = len(contract.speak(espeak, contract.SENTENCE).samples)
    assert again == pytest.approx(len(sentence.samples), rel=0.03)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"speed_wpm": 5_000}, "80 to 450"), ({"pitch": 100}, "0 to 99"), ({"pitch": "x"}, "whole")],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    """A setting out of range is refused at start, with what is allowed."""
    with pytest.raises(ConfigError, match=message):
        build_config(EspeakTts.Config, settings, "tts.espeak")


def test_missing_library_says_what_to_install() -> None:
    """Without the library the error gives the command that installs it."""
    with pytest.raises(BackendUnavailable, match="pip install espeakng-loader"):
        EspeakTts(EspeakTts.Config(library_path="/nowhere/libespeak-ng.so")).load()


def test_synthesize_before_load() -> None:
    """Using the voice before it is loaded is an error that says so."""
    with pytest.raises(BackendUnavailable, match="call load"):
        list(EspeakTts(EspeakTts.Config()).synthesize("Hello."))
