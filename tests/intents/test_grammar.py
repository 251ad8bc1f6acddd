import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BackendUnavailable
from app.intents.grammar import Grammar, load_grammar
from tests.grammars import shared_grammar
from tests.speech import list_recordings
from tests.texts import any_text


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return shared_grammar()


@pytest.fixture(scope="module")
def samples(grammar: Grammar) -> list[str]:
    return grammar.sample_sentences()


PHRASES: list[tuple[str, str, dict[str, object]]] = [
    ("Hello!", "Hello", {}),
    ("hey", "Hello", {}),
    ("good morning", "Hello", {}),
    ("hello how are you", "HowAreYou", {}),
    ("Thank you very much.", "ThankYou", {}),
    ("good night", "Goodbye", {}),
    ("what's your name?", "WhoAreYou", {}),
    ("who are you", "WhoAreYou", {}),
    ("what can you do", "Help", {}),
    ("help", "Help", {}),
    ("what time is it", "HassGetCurrentTime", {}),
    ("What’s the time?", "HassGetCurrentTime", {}),
    ("could you tell me what time it is", "HassGetCurrentTime", {}),
    ("um, what time is it please", "HassGetCurrentTime", {}),
    ("Alexa, what time is it?", "HassGetCurrentTime", {}),
    ("what date is it", "HassGetCurrentDate", {}),
    ("what's the date today", "HassGetCurrentDate", {}),
    ("what day is it", "GetWeekday", {}),
    ("what day of the week is it today", "GetWeekday", {}),
    ("what month is it", "GetMonth", {}),
    ("what year is it", "GetYear", {}),
    ("tell me a joke", "TellJoke", {}),
    ("another joke please", "TellJoke", {}),
    ("say that again", "Repeat", {}),
    ("repeat that", "Repeat", {}),
    ("can you repeat that", "Repeat", {}),
    ("never mind", "HassNevermind", {}),
    ("nevermind", "HassNevermind", {}),
    ("stop", "HassNevermind", {}),
    ("cancel", "HassNevermind", {}),
    ("this is a test", "MicrophoneCheck", {}),
    ("hello world", "MicrophoneCheck", {}),
    ("one two three", "MicrophoneCheck", {}),
    ("1, 2, 3.", "MicrophoneCheck", {}),
    ("can you hear me", "MicrophoneCheck", {}),
    ("testing one two three", "MicrophoneCheck", {}),
    ("what is seven times six", "Arithmetic", {"left": 7, "operator": "times", "right": 6}),
    ("what's one thousand divided by 8?", "Arithmetic", {"left": 1000, "operator": "divided by", "right": 8}),
    ("hey, what is 2.5 + 2.5", "Arithmetic", {"left": 2.5, "operator": "plus", "right": 2.5}),
    ("what is the weather", "HassGetWeather", {}),
    ("what's the weather like in paris", "HassGetWeather", {"name": "paris"}),
    ("will it rain tomorrow", "HassGetWeather", {"condition": "rain"}),
    ("set a timer for five minutes", "HassStartTimer", {"minutes": 5}),
    ("please set a timer for 90 seconds", "HassStartTimer", {"seconds": 90}),
    ("set a ten minute timer", "HassStartTimer", {"minutes": 10}),
    ("set a timer for one hour and twenty minutes", "HassStartTimer", {"hours": 1, "minutes": 20}),
    ("set a timer for an hour and a half", "HassStartTimer", {"hours": 1, "minutes": 30}),
    ("set a timer for two and a half minutes", "HassStartTimer", {"minutes": 2, "seconds": 30}),
    ("set a timer for half an hour", "HassStartTimer", {"minutes": 30}),
    ("start a timer for a minute", "HassStartTimer", {"minutes": 1}),
    ("set a pasta timer for ten minutes", "HassStartTimer", {"minutes": 10, "name": "pasta"}),
    ("set a timer called egg for three minutes", "HassStartTimer", {"minutes": 3, "name": "egg"}),
    ("set a 10 minute timer for the pizza", "HassStartTimer", {"minutes": 10, "name": "pizza"}),
    ("remind me in twenty minutes to call mom", "HassStartTimer", {"minutes": 20, "name": "call mom"}),
    ("set a timer", "HassStartTimer", {}),
    ("how much time is left", "HassTimerStatus", {}),
    ("how much time is left on the pasta timer", "HassTimerStatus", {"name": "pasta"}),
    ("timer status", "HassTimerStatus", {}),
    ("cancel the timer", "HassCancelTimer", {}),
    ("cancel the pasta timer", "HassCancelTimer", {"name": "pasta"}),
    ("stop the ten minute timer", "HassCancelTimer", {"minutes": 10}),
    ("cancel all timers", "HassCancelAllTimers", {}),
    ("wake me up at seven", "SetAlarm", {"clock_time": "seven"}),
    ("turn on the lamp", "HassTurnOn", {"name": "lamp", "domain": "light"}),
    ("Turn on the living room lamp.", "HassTurnOn", {"name": "living room lamp", "domain": "light"}),
    ("turn the kitchen light off", "HassTurnOff", {"name": "kitchen light", "domain": "light"}),
    ("turn on the lights in the kitchen", "HassTurnOn", {"area": "kitchen", "domain": "light"}),
    ("turn off the lights", "HassTurnOff", {"domain": "light"}),
    ("turn off the coffee machine", "HassTurnOff", {"name": "coffee machine"}),
    ("open the garage door", "HassTurnOn", {"name": "garage door", "domain": "cover"}),
    ("lock the front door", "HassTurnOn", {"name": "front door", "domain": "lock"}),
    ("is the garage door open", "HassGetState", {"name": "garage door", "state": "open", "domain": "cover"}),
    ("make the lamp red", "HassLightSet", {"name": "lamp", "color": "red", "domain": "light"}),
    ("set the kitchen light to 50%", "HassLightSet", {"name": "kitchen light", "brightness": 50, "domain": "light"}),
    ("play the beatles", "HassMediaSearchAndPlay", {"search_query": "the beatles"}),
    ("pause the music", "HassMediaPause", {}),
    ("next song", "HassMediaNext", {}),
    ("turn the volume up", "HassSetVolumeRelative", {"volume_step": "up"}),
    ("add milk to my shopping list", "HassShoppingListAddItem", {"item": "milk"}),
]


@pytest.mark.parametrize(("text", "name", "slots"), PHRASES)
def test_a_command_parses_into_its_intent(grammar: Grammar, text: str, name: str, slots: dict[str, object]) -> None:
    """What people say to a voice service is understood, whatever its case, punctuation and politeness."""
    intent = grammar.parse(text)
    assert intent is not None
    assert (intent.name, intent.slots) == (name, slots)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "   ",
            "?!",
            "who wrote the book",
            "what is the capital of france",
            "how are the children",
            "play",
            "turn",
        ),
        *("the time", "what", "can you write a poem", "tell me about the moon", "i like the kitchen light", "lamp"),
        *("the lamp is broken", "the light is on the table", "two", "the weather was nice yesterday", "stop the car"),
        *(
            "i set the timer yesterday",
            "open the book",
            "what day was it",
            "he will cancel the meeting",
            "close the deal",
        ),
        *("how much is the fish", "five minutes", "remind me to call mom", "help me find my keys", "hello good friend"),
        *("add two eggs and stir", "this is a good book", "testing the waters", "good morning america", "are you sure"),
        *(
            "when is easter",
            "where are you from",
            "set a timer for ever",
            "add insult to injury",
            "one two buckle my shoe",
        ),
        *("hey computer", "alexa", "porcupine", "what's the time like in the story", "comment tu t'appelles"),
        *("quel est votre nom", "turn on " + "very " * 60 + "light"),
    ],
)
def test_other_speech_does_not_parse(grammar: Grammar, text: str) -> None:
    """Words that are no command are left to someone else."""
    assert grammar.parse(text) is None


def test_no_recorded_dictation_parses(grammar: Grammar) -> None:
    """Transcripts of ordinary speech are never taken for a command, and recorded commands always are."""
    dictation = {row["transcript"] for row in list_recordings("speech", "foreign", "neg", "wake", "long", "stereo")}
    commands = {row["transcript"] for row in list_recordings("command")}
    if not dictation:
        pytest.skip("no recordings here")
    assert {text for text in dictation if grammar.parse(text)} == set()
    assert {text for text in commands if not grammar.parse(text)} == set()


def test_samples_are_plain_spoken_words_that_parse(grammar: Grammar, samples: list[str]) -> None:
    """The recogniser learns lower-case words without digits, and what it then hears is understood."""
    sentences = sorted(set(samples))
    assert sentences[0]
    assert set("".join(sentences)) <= set("abcdefghijklmnopqrstuvwxyz' ")
    chosen = random.Random(1).sample(sentences, 60)
    assert [sentence for sentence in chosen if grammar.parse(sentence) is None] == []


def test_samples_are_the_same_every_time_and_not_too_many(grammar: Grammar, samples: list[str]) -> None:
    """Another grammar gives the same list, of a size that a language model is made of quickly."""
    assert grammar.sample_sentences(limit_per_template=1) == load_grammar().sample_sentences(limit_per_template=1)
    assert 5_000 < len(samples) < 40_000


def test_samples_cover_what_the_recordings_say_and_the_timers(samples: list[str]) -> None:
    """The usual commands and the minutes of timers all occur."""
    sentences = set(samples)
    assert sentences >= {
        "what time is it",
        "turn on the lamp",
        "turn on the living room lamp",
        "this is a test",
        "hello world",
    }
    assert sentences >= {"play the beatles", "one two three", "what's the date today"}
    words = " ".join(sentences)
    assert all(f"{n} minute" in words for n in ("one", "seven", "fifteen", "twenty five", "forty two", "sixty"))


@pytest.fixture(scope="module")
def own_home() -> Grammar:
    return load_grammar(names=("aquarium pump", "Dr. No's Lamp 2", " "), areas=("attic", "Room 12"))


def test_configured_names_and_rooms_replace_the_usual_ones(own_home: Grammar) -> None:
    """The operator's words are parsed and sampled."""
    intent = own_home.parse("turn on the lights in the attic")
    assert intent is not None
    assert intent.slots == {"area": "attic", "domain": "light"}
    words = set(" ".join(own_home.sample_sentences(limit_per_template=2)).split())
    assert {"aquarium", "attic"} <= words
    assert "heater" not in words


def test_a_configured_name_is_found_however_it_is_written(own_home: Grammar) -> None:
    """Case, punctuation and figures of a name do not matter, and a blank name is no name."""
    lamp = {"name": "Dr. No's Lamp 2", "domain": "switch"}
    for text in ("turn on Dr. No's Lamp 2", "turn on dr no's lamp two"):
        intent = own_home.parse(text)
        assert intent is not None
        assert intent.slots == lamp
    room = own_home.parse("turn off the lights in room twelve")
    assert room is not None
    assert room.slots == {"area": "Room 12", "domain": "light"}


@given(text=st.one_of(any_text(max_size=60), st.text(alphabet="turn on{}<>[]()|:;%1 the'", max_size=40)))
def test_any_text_is_parsed_or_refused(grammar: Grammar, text: str) -> None:
    """No text makes the parser fail."""
    intent = grammar.parse(text)
    assert intent is None or intent.name


@pytest.mark.parametrize(
    ("language", "areas", "text", "name"),
    [
        ("de-DE", ("küche",), "wie spät ist es", "HassGetCurrentTime"),
        ("fr", (), "quelle heure est-il", "HassGetCurrentTime"),
    ],
)
def test_other_languages_parse_their_own_sentences(language: str, areas: tuple[str, ...], text: str, name: str) -> None:
    """A language tag selects Home Assistant's sentences of that language."""
    intent = shared_grammar(language, areas=areas).parse(text)
    assert intent is not None
    assert intent.name == name


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    """The error names the setting, its value and what there is."""
    with pytest.raises(BackendUnavailable, match=r"home.language: there are no sentences in 'tlh'; known are .*en"):
        load_grammar("tlh")
