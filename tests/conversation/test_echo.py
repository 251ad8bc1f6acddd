"""The device does not answer itself, and the user is never taken for the device."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversation.echo import is_echo
from app.errors import BackendUnavailable
from tests.speech import list_recordings

REPLIES = (
    "It is ten past nine.",
    "The weather today is sunny with a light wind from the west.",
    "I have set a timer for five minutes.",
    "Your tea timer is done.",
    "Twenty three plus nineteen is forty two.",
    "Why did the scarecrow win a prize? Because he was outstanding in his field.",
    "I turned on the kitchen light.",
    "Today is Monday, the third of March.",
    "Sorry, something went wrong. Please try again.",
    "There are 2 timers running.",
    "You are welcome.",
    "I did not understand that. Say help to hear what I can do.",
    "Good morning! How can I help you today?",
    "The living room lamp is off now.",
    "Paris is the capital of France.",
    "Water boils at 100 degrees at sea level.",
    "Your next meeting is at half past three in the afternoon.",
    "Say stop when you want me to be quiet.",
    "The train leaves in 17 minutes from platform four.",
    "I can tell you the time, set timers and do sums.",
)
SENTENCES = st.lists(st.sampled_from(REPLIES), min_size=1, max_size=6, unique=True)


@pytest.mark.parametrize(
    ("heard", "spoken"),
    [
        ("it is ten past nine", ["It is ten past nine."]),
        ("the weather today is sunday with the light went from the west", [REPLIES[1]]),
        ("with a light wind from the west i have set a timer for five", [REPLIES[1], REPLIES[2]]),
        ("why did his car wreck row win a prize because he was outstanding in his field", [REPLIES[5]]),
        ("there are two timers running", ["There are 2 timers running."]),
        ("your tea time or is done", ["Your tea timer is done."]),
        ("Good mourning", ["Good morning!", "How can I help you?"]),
        ("Stop.", ["Stop!"]),
    ],
)
def test_the_reply_itself(heard: str, spoken: list[str]) -> None:
    """What was played is known again, also when parts are misheard or missing."""
    assert is_echo(heard, spoken)


@pytest.mark.parametrize(
    "heard",
    [
        *("yes", "stop", "no", "help", "the kitchen", "thank you", "good night", "no thank you", "what time is it"),
        *("say that again", "turn off the kitchen light", "set a timer for ten minutes", "cancel the tea timer"),
        *("turn on the living room lamp", "set the timer to six minutes instead", "no the other lamp", ""),
        *("what is twenty three plus twenty", "how are you today", "what about tomorrow", "is the lamp on", "…"),
    ],
)
def test_the_user(heard: str) -> None:
    """Answers, commands and corrections are no echo, though the reply has some of their words."""
    assert not any(is_echo(heard, REPLIES[start : start + 8]) for start in range(len(REPLIES)))


@given(SENTENCES, st.data())
def test_what_was_played_is_an_echo(spoken: list[str], data: st.DataObject) -> None:
    """Any stretch of three words and more of what was played is an echo, whatever its case and punctuation."""
    words = re.findall(r"\w+", " ".join(spoken))
    start = data.draw(st.integers(0, len(words) - 3))
    end = data.draw(st.integers(start + 3, len(words)))
    assert is_echo(" ".join(words[start:end]).upper(), spoken)


@given(st.text(alphabet=st.sampled_from("qxzjvk "), max_size=60), SENTENCES)
def test_other_letters_are_none(heard: str, spoken: list[str]) -> None:
    """What has no letters in common is no echo."""
    assert not is_echo(heard, spoken)


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=4))
def test_any_text(heard: str, spoken: list[str]) -> None:
    """No text is too strange, and silence echoes nothing."""
    assert is_echo(heard, spoken) in (True, False)
    assert not is_echo(heard, [])
    assert not is_echo("", spoken)


@pytest.mark.parametrize("row", list_recordings("speech", "command", "wake", "neg"), ids=lambda row: row["file"])
def test_people(row: dict[str, str]) -> None:
    """What people said in the recordings is no echo of these replies."""
    assert not any(is_echo(row["transcript"], REPLIES[start : start + 6]) for start in range(len(REPLIES)))


@pytest.mark.engine
def test_a_reply_that_is_heard_back() -> None:
    """Of the sentences that flite speaks and pocketsphinx hears, all but one at most are known again."""
    pytest.importorskip("pocketsphinx")
    from app.stt.pocketsphinx import PocketsphinxStt
    from app.tts.flite import FliteTts

    voice, recogniser = FliteTts(FliteTts.Config()), PocketsphinxStt(PocketsphinxStt.Config())
    try:
        voice.load()
        recogniser.load()
    except BackendUnavailable as error:
        pytest.skip(error.message)
    known = 0
    for sentence in REPLIES[::2]:
        *_, final = recogniser.transcribe([b"".join(piece.pcm16 for piece in voice.synthesize(sentence))])
        known += is_echo(final.text, [sentence])
    assert known >= 9


def test_a_number_without_end() -> None:
    """A recogniser that repeats itself does no harm."""
    assert not is_echo("9" * 5000, ["It is nine."])
    assert not is_echo("it is nine", ["9" * 5000])
