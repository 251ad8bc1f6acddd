"""Several characters over HTTP: each is heard in its own voice."""

from __future__ import annotations

import io
import itertools
import wave
from array import array
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from app.tts.fake import pitch_hz
from tests.serving import fetch_reply, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process

DIALOGUE = "Well then.\n**Anna:** Is the moon really round?\nTom: It is. I saw it.\n[Anna] Then so be it."
SAID = [
    ("Anna", "Well then."),
    ("Anna", "Is the moon really round?"),
    ("Tom", "It is."),
    ("Tom", "I saw it."),
    ("Anna", "Then so be it."),
]


def dialogue(**sections: dict[str, Any]) -> dict[str, Any]:
    return with_fakes(llm={"fake": {"reply": DIALOGUE}}, **sections)


def text_of(segment: requests.Response) -> str:
    return unquote(segment.headers["X-Text"])


def pitch_of(segment: requests.Response) -> float:
    """Return the pitch of a hum in Hz, by counting how often it rises through zero."""
    with wave.open(io.BytesIO(segment.content)) as file:
        samples = array("h", file.readframes(file.getnframes()))
        rises = [i for i, (a, b) in enumerate(itertools.pairwise(samples)) if a < 0 <= b]
        return (len(rises) - 1) * file.getframerate() / (rises[-1] - rises[0])


def test_a_dialogue_is_spoken_by_two_voices() -> None:
    """Each sentence hums at the pitch of its character's voice, and no name is spoken."""
    voices = {"Anna": "soprano", "Tom": "bass"}
    characters = {name: {"voice": f"fake/{voice}"} for name, voice in voices.items()}
    with serve(dialogue(characters=characters)) as service:
        service.post("/upload", data=speech_wav(5))
        segments = fetch_reply(service)
    assert [text_of(segment) for segment in segments] == [text for _, text in SAID]
    expected = [pitch_hz(voices[name]) for name, _ in SAID]
    assert [pitch_of(segment) for segment in segments] == pytest.approx(expected, rel=0.05)
    assert len(set(expected)) == 2


def test_a_voice_that_fails_is_replaced_by_the_next_in_its_own() -> None:
    """A character whose backend fails speaks by another one, which is not asked for a voice that it does not know."""
    tts = {
        "backends": ["fake", "broken"],
        "broken": {"engine": "fake", "fail": "rejected", "fail_on": "It"},
    }
    characters = {"Anna": {"voice": "fake"}, "Tom": {"voice": "broken/bass"}}
    with serve(dialogue(tts=tts, characters=characters)) as service:
        service.post("/upload", data=speech_wav(5))
        segments = fetch_reply(service)
    pitches = [round(pitch_of(segment), -1) for segment in segments]
    assert pitches == [220, 220, 220, round(pitch_hz("bass"), -1), 220]


@pytest.mark.engine
def test_two_embedded_voices_in_one_reply() -> None:
    """Two of flite's voices say the same words, and it does not sound the same."""
    characters = {"Anna": {"voice": "flite/slt"}, "Tom": {"voice": "flite/kal16"}}
    config = dialogue(tts={"backends": ["flite"]}, characters=characters)
    config["llm"]["fake"] = {"reply": "Anna: This is the same sentence.\nTom: This is the same sentence."}
    with serve(config) as service:
        service.post("/upload", data=speech_wav(5))
        anna, tom = fetch_reply(service)
    assert text_of(anna) == text_of(tom)
    assert len(anna.content) > 16_000
    assert len(tom.content) > 16_000
    assert anna.content != tom.content
