"""What a session may choose, and what follows from it."""

from __future__ import annotations

import math

import pytest

from app.config import CharacterConfig
from app.conversation.preferences import Choices, Preferences
from app.errors import BadSettings
from app.messages import Header, Prompt, Sentence

TWO = {
    "Anna": CharacterConfig(prompt="Doubts.", voice="flite/slt", model="small"),
    "Tom": CharacterConfig(prompt="Knows."),
}
CHOICES = Choices(TWO, models=("big", "small"), voices=("flite/awb", "espeak"))
HEADER = Header("desk", "t1")


def chosen(**data: object) -> Preferences:
    return Preferences(CHOICES).change(data)


def voice_of(preferences: Preferences, character: str = "") -> str:
    given = preferences.give_voice(Sentence(HEADER, 0, "Hi.", character=character))
    assert isinstance(given, Sentence)
    return given.voice


def test_choices_as_lists_of_names() -> None:
    """A client is told what may be chosen; prompts and voices of characters are not shown."""
    assert CHOICES.as_dict() == {
        "characters": ["Anna", "Tom"],
        "models": ["big", "small"],
        "voices": ["flite/awb", "espeak"],
    }


def test_what_is_not_named_stays() -> None:
    """Each change is laid over those before it, and null takes one back."""
    preferences = chosen(model="big", temperature=1).change({"voice": "espeak", "model": None})
    assert preferences.as_dict() == {"model": None, "temperature": 1.0, "character": None, "voice": "espeak"}
    assert preferences.change({}) == preferences
    assert preferences.change({"voice": "", "temperature": None}) == Preferences(CHOICES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"modell": "big"}, "modell: no such setting; did you mean 'model'?"),
        ({"model": "bigg"}, "model: is 'bigg'; .* did you mean 'big'?"),
        ({"character": "anna"}, "character: is 'anna'; .*known are Anna, Tom"),
        ({"character": 3}, "character: is 3; "),
        ({"voice": ["espeak"]}, "voice: is a list; "),
        ({"voice": "flite/slt"}, "voice: is 'flite/slt'; .*known are espeak, flite/awb"),
        ({"temperature": 2.1}, "temperature: is 2.1; allowed is a number from 0 to 2, or null"),
        ({"temperature": -1}, "temperature: is -1; "),
        ({"temperature": True}, "temperature: is True; "),
        ({"temperature": "1"}, "temperature: is '1'; "),
        ({"temperature": math.nan}, "temperature: is nan; "),
        ({"model": "small", "temperature": 9}, "temperature: is 9; "),
    ],
)
def test_what_is_not_allowed_is_refused(data: dict[str, object], message: str) -> None:
    """The error names the setting, the value and what is allowed; a refused change changes nothing."""
    before = chosen(model="big")
    with pytest.raises(BadSettings, match=message) as caught:
        before.change(data)
    assert (caught.value.code, caught.value.status) == ("bad-settings", 400)
    assert before == chosen(model="big")


def test_where_nothing_can_be_chosen() -> None:
    """Without a configuration only the temperature is free."""
    with pytest.raises(BadSettings, match="known are none"):
        Preferences().change({"voice": "flite"})
    assert Preferences().change({"temperature": 0, "voice": None}).options() == {"temperature": 0.0}


def test_all_characters_speak_until_one_is_chosen() -> None:
    """Null lets all speak; the prompt of the system tells who does."""
    assert chosen().speaking == ("Anna", "Tom")
    assert chosen(character="Tom").speaking == ("Tom",)
    assert Preferences().speaking == ()
    assert chosen(character="Tom").system_prompt("Be brief.") == "Be brief.\n\nYou are Tom. Knows."
    assert "Anna: Doubts.\nTom: Knows." in chosen().system_prompt("Be brief.")


def test_speakers_are_named_when_there_are_several() -> None:
    """Also while one speaks alone, for the others have spoken before."""
    assert chosen(character="Tom").names_speakers
    assert not Preferences(Choices({"Tom": TWO["Tom"]})).names_speakers


def test_the_options_of_a_prompt() -> None:
    """What is chosen wins over the model of the one who speaks alone; the rest is left to the backend."""
    assert chosen().options() == {}
    assert chosen(character="Anna").options() == {"model": "small"}
    assert chosen(character="Anna", model="big", temperature=0.5).options() == {"model": "big", "temperature": 0.5}
    assert chosen(character="Tom").options() == {}


def test_who_speaks_with_which_voice() -> None:
    """The character's own voice, else the session's, else the default; what nobody says is said by who is alone."""
    assert voice_of(chosen(), "Anna") == "flite/slt"
    assert voice_of(chosen(voice="espeak"), "Anna") == "flite/slt"
    assert voice_of(chosen(voice="espeak"), "Tom") == "espeak"
    assert voice_of(chosen(), "Tom") == ""
    assert voice_of(chosen(voice="espeak")) == "espeak"
    assert voice_of(chosen(character="Anna")) == "flite/slt"
    assert voice_of(Preferences()) == ""


def test_only_sentences_get_a_voice() -> None:
    """Every other message is handed on as it is."""
    prompt = Prompt(HEADER, ())
    assert chosen(voice="espeak").give_voice(prompt) is prompt
