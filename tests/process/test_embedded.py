"""The embedded default, offline and without a key: what real people say in recordings gets a spoken answer."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
import requests

from app.audio.codecs import decode
from app.intents.spoken import time_words
from app.stt.pocketsphinx import PocketsphinxStt
from tests.serving import RunningService, fetch_reply, serve
from tests.speech import speech_dir

pytestmark = pytest.mark.process
SPEECH = speech_dir()
MIN_SHARE = 0.6
"""Of the words of a reply, how many the embedded recogniser must hear; it hears about nine of ten in this voice."""


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve({}) as running:
        yield running


@pytest.fixture(scope="module")
def ear() -> PocketsphinxStt:
    """The embedded recogniser, which judges whether a reply can be understood."""
    recogniser = PocketsphinxStt(PocketsphinxStt.Config())
    recogniser.load()
    return recogniser


def ask(service: RunningService, recording: str) -> tuple[str, list[requests.Response]]:
    """Send a recording as a device does; return what was heard and the segments of the reply."""
    assert SPEECH is not None
    body = (SPEECH / recording).read_bytes()
    turn = service.post(f"/upload?session={recording}", data=body).json()["turn"]
    segments = fetch_reply(service, f"&session={recording}")
    return service.get(f"/turns/{turn}?session={recording}").json()["heard"], segments


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def share_heard(ear: PocketsphinxStt, segments: list[requests.Response]) -> float:
    """Return how many of the words that were to be said can be heard in the audio, from 0 to 1."""
    said = [word for segment in segments for word in words(unquote(segment.headers["X-Text"]))]
    heard = []
    for segment in segments:
        heard += words(list(ear.transcribe([decode(segment.content)]))[-1].text)
    return sum(word in heard for word in said) / len(said)


@pytest.mark.skipif(SPEECH is None, reason="the folder of recordings is not there")
@pytest.mark.parametrize(
    ("recording", "transcript", "answer"),
    [
        ("rhasspy_turn_on_the_lamp.wav", "turn on the lamp", "I heard, turn on the lamp"),
        ("wyoming_living_room_lamp.wav", "turn on the living room lamp", "turn on the living room lamp"),
        ("rhasspy_play_the_beatles.wav", "play the beatles", "No music is connected"),
        ("rhasspy_this_is_a_test.wav", "this is a test", "The microphone works"),
        ("sr_one_two_three.wav", "one two three", "I heard, one two three"),
        ("sr_audio-stereo-24-bit-44100Hz.flac", "one two three", "I heard, one two three"),
        ("livekit_hello_world.wav", "hello world", "I heard, hello world"),
    ],
)
def test_a_recording_is_answered(
    service: RunningService, ear: PocketsphinxStt, recording: str, transcript: str, answer: str
) -> None:
    """POST, then GET until 204, yields WAV that can be understood and that answers what was said."""
    heard, segments = ask(service, recording)
    assert heard == transcript
    assert answer in " ".join(unquote(segment.headers["X-Text"]) for segment in segments)
    assert share_heard(ear, segments) >= MIN_SHARE


@pytest.mark.skipif(SPEECH is None, reason="the folder of recordings is not there")
def test_the_time_is_told(service: RunningService, ear: PocketsphinxStt) -> None:
    """A person asks what time it is, and hears it."""
    before = datetime.datetime.now()
    heard, segments = ask(service, "rhasspy_what_time_is_it.wav")
    after = datetime.datetime.now()
    assert heard == "what time is it"
    said = " ".join(unquote(segment.headers["X-Text"]) for segment in segments)
    assert any(time_words(moment) in said for moment in (before, after)), said
    assert share_heard(ear, segments) >= MIN_SHARE


@pytest.mark.skipif(SPEECH is None, reason="the folder of recordings is not there")
def test_open_speech_gets_an_honest_answer(service: RunningService) -> None:
    """What is no command is not taken for one; the answer says what to do."""
    _, segments = ask(service, "librivox_0930.wav")
    assert "language model" in " ".join(unquote(segment.headers["X-Text"]) for segment in segments)


@pytest.mark.skipif(SPEECH is None, reason="the folder of recordings is not there")
def test_prosody_shows_in_the_events(service: RunningService) -> None:
    """The offline analyser hears level, pitch and pace of a real voice."""
    ask(service, "rhasspy_what_time_is_it.wav")
    with service.get("/events?session=rhasspy_what_time_is_it.wav", stream=True) as response:
        line = next(line for line in response.iter_lines() if b'"analyser": "prosody"' in line)
    assert b'"pitch_hz": ' in line
    assert b'"pitch_hz": null' not in line


def test_the_voice_can_be_heard(service: RunningService) -> None:
    """The service understands its own voice: speech that /say made is a question that /talk answers."""
    service.post("/say?session=voice", json={"text": "What time is it?"})
    question = fetch_reply(service, "&session=voice")[0].content
    response = service.post("/talk?session=talk", data=question)
    assert response.content.startswith(b"RIFF")
    assert len(response.content) > 10_000
    assert service.get(f"/turns/{response.headers['X-Turn']}?session=talk").json()["heard"] == "what time is it"
