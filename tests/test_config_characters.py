"""Characters in the configuration: their names and their voices."""

from __future__ import annotations

from typing import Any

import pytest

from app.backends import check_voices
from app.config import CharacterConfig
from app.errors import ConfigError
from app.tts.backend import BACKENDS
from tests.configuration import Load


def with_voice(voice: str) -> dict[str, Any]:
    return {"characters": {"Anna": {"voice": voice}}}


def test_characters_are_read_in_their_order(load: Load) -> None:
    """Each has its settings; what is left out has its default."""
    config = load({"characters": {"Tom": {"prompt": "Knows.", "voice": "espeak/roa/fr"}, "//": "both", "Anna": {}}})
    assert list(config.characters) == ["Tom", "Anna"]
    assert config.characters["Tom"] == CharacterConfig("Knows.", "espeak/roa/fr")


@pytest.mark.parametrize("name", ["Anna", "Mary Ann", "O'Neil", "R2-D2", "Émile", "मीरा", "小明", "x" * 40])
def test_names_that_are_allowed(load: Load, name: str) -> None:
    """Letters of any script and digits, with something small between them."""
    assert list(load({"characters": {name: {}}}).characters) == [name]


@pytest.mark.parametrize(
    "name", ["", " Anna", "Anna ", "Anna:", "A  B", "An/na", "[Anna]", "a_b", "-", "A\nB", "x" * 41]
)
def test_names_that_are_not(load: Load, name: str) -> None:
    """A name that a reply could not mark, or that would look like a voice, is refused."""
    with pytest.raises(ConfigError, match="characters: no character can be called"):
        load({"characters": {name: {}}})


def test_names_that_differ_in_capitals_only(load: Load) -> None:
    """A reply could not tell them apart."""
    with pytest.raises(ConfigError, match="characters: Anna and ANNA are the same name"):
        load({"characters": {"Anna": {}, "ANNA": {}}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_voice("flit/slt"), r"characters\.Anna\.voice: is 'flit/slt'; .*did you mean 'flite'\?"),
        (with_voice("slt"), r"characters\.Anna\.voice: is 'slt'; allowed is a name of tts\.backends"),
        ({"tts": {"voices": ["espeak", "kokoro/af"]}}, r"tts\.voices\[1\]: is 'kokoro/af'"),
        ({"characters": {"Anna": {"vioce": ""}}}, r"characters\.Anna\.vioce: no such setting; did you mean 'voice'\?"),
        ({"characters": {"Anna": "Doubts."}}, r"characters\.Anna: is 'Doubts\.'; allowed is an object"),
        ({"characters": []}, "characters: is a list; allowed is an object"),
        ({"charactres": {}}, "charactres: no such section; did you mean 'characters'"),
    ],
)
def test_mistakes_are_told_with_their_place(load: Load, content: dict[str, Any], message: str) -> None:
    """A voice whose backend is not listed, and everything misspelt, ends the start."""
    with pytest.raises(ConfigError, match=message):
        load(content)


@pytest.mark.parametrize("content", [with_voice("flite/sld"), {"tts": {"voices": ["flite/sld"]}}])
def test_a_voice_that_the_engine_is_known_not_to_have(load: Load, content: dict[str, Any]) -> None:
    """flite has four voices: another one is refused before anything is loaded."""
    with pytest.raises(ConfigError, match=r"flite has no voice 'sld'; did you mean 'slt'\? known are awb, kal16"):
        check_voices(BACKENDS, load(content))


def test_voices_that_only_the_engine_knows(load: Load) -> None:
    """A voice of an engine without a fixed list is taken, and so is a backend alone."""
    check_voices(BACKENDS, load({**with_voice("espeak/nowhere"), "tts": {"voices": ["flite", "flite/slt"]}}))


def test_characters_from_the_environment(load: Load) -> None:
    """A variable reaches into a character whatever its name is made of, and a whole section can be given."""
    config = load({"characters": {"Mary-Ann O'Neil": {}}}, EARSHOT_CHARACTERS__MARY_ANN_O_NEIL__VOICE="flite/slt")
    assert config.characters == {"Mary-Ann O'Neil": CharacterConfig(voice="flite/slt")}
    whole = load({}, EARSHOT_CHARACTERS='{"Anna": {"prompt": "Doubts."}}')
    assert whole.characters == {"Anna": CharacterConfig("Doubts.")}
    assert load({}, EARSHOT_TTS__VOICES="flite/slt,espeak").tts.voices == ("flite/slt", "espeak")
