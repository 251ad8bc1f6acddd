"""A session with several characters, with scripted stages."""

from __future__ import annotations

from app.config import CharacterConfig, SessionConfig
from app.conversation.events import SentenceReady
from app.conversation.preferences import Choices
from app.conversation.session import Session
from app.conversation.surroundings import Surroundings
from app.messages import ChatMessage, Prompt, Sentence, StageDone
from tests.conversation.stages import SPEECH, ScriptedPipeline

CHOICES = Choices(
    {"Anna": CharacterConfig("Doubts.", "flite/slt"), "Tom": CharacterConfig("Knows.")}, ("big",), ("espeak/fr",)
)


def open_session(stages: ScriptedPipeline, choices: Choices = CHOICES) -> Session:
    around = Surroundings(
        stages,  # type: ignore[arg-type]
        SessionConfig(),
        lambda: 100.0,
        lambda turn: None,
        lambda turn: None,
        system_prompt="Be brief.",
        choices=choices,
    )
    return Session("desk", around)


def answer(stages: ScriptedPipeline, *lines: tuple[str, str]) -> list[Sentence]:
    """Answer the newest prompt; return what goes to the voice, spoken at once."""
    job = stages.last(Prompt)
    before = len(stages.jobs)
    stages.give(job, *(Sentence(job.header, i, text, character=who) for i, (who, text) in enumerate(lines)))
    stages.give(job, StageDone(job.header, "llm"))
    jobs = stages.jobs[before:]
    for spoken in jobs:
        stages.speak(spoken, SPEECH)
    return [spoken.message for spoken in jobs if isinstance(spoken.message, Sentence)]


def prompt_of(stages: ScriptedPipeline) -> Prompt:
    message = stages.last(Prompt).message
    assert isinstance(message, Prompt)
    return message


def test_each_sentence_goes_to_the_voice_of_its_character() -> None:
    """The voice is settled by the session; readers of the events learn who speaks."""
    stages = ScriptedPipeline()
    session = open_session(stages)
    session.preferences = session.preferences.change({"voice": "espeak/fr"})
    turn = session.say_text("hello")
    spoken = answer(stages, ("Anna", "Is it?"), ("Tom", "It is."))
    assert [(sentence.character, sentence.voice) for sentence in spoken] == [
        ("Anna", "flite/slt"),
        ("Tom", "espeak/fr"),
    ]
    assert [segment.character for segment in turn.segments] == ["Anna", "Tom"]
    facts = [event.fact for event in session.log.read(0, 0) if isinstance(event.fact, SentenceReady)]
    assert [fact.character for fact in facts] == ["Anna", "Tom"]


def test_the_prompt_names_who_may_speak_and_who_spoke() -> None:
    """The language model knows the cast, the form, and who said what before."""
    stages = ScriptedPipeline()
    session = open_session(stages)
    session.say_text("hello")
    assert prompt_of(stages).characters == ("Anna", "Tom")
    assert "Anna: Doubts.\nTom: Knows." in prompt_of(stages).messages[0].text
    answer(stages, ("Anna", "Is it?"), ("Tom", "It is."), ("Tom", "Sure."))
    session.say_text("go on")
    assert prompt_of(stages).messages[2] == ChatMessage("assistant", "Anna: Is it?\nTom: It is. Sure.")


def test_one_chosen_character_speaks_alone() -> None:
    """A choice holds from the next prompt on."""
    stages = ScriptedPipeline()
    session = open_session(stages)
    session.preferences = session.preferences.change({"character": "Anna", "model": "big", "temperature": 0.2})
    session.say_text("hello")
    prompt = prompt_of(stages)
    assert prompt.characters == ("Anna",)
    assert prompt.messages[0].text == "Be brief.\n\nYou are Anna. Doubts."
    assert prompt.options == {"model": "big", "temperature": 0.2}


def test_what_is_said_unasked_has_the_voice_of_the_session() -> None:
    """A timer or POST /say speaks with the chosen voice."""
    stages = ScriptedPipeline()
    session = open_session(stages)
    session.preferences = session.preferences.change({"voice": "espeak/fr"})
    session.speak("Dinner is ready.")
    message = stages.last(Sentence).message
    assert isinstance(message, Sentence)
    assert (message.voice, message.character) == ("espeak/fr", "")


def test_without_characters_nothing_has_a_name() -> None:
    """A service without characters works as it did."""
    stages = ScriptedPipeline()
    session = open_session(stages, Choices())
    session.say_text("hello")
    assert prompt_of(stages).characters == ()
    assert prompt_of(stages).messages[0].text == "Be brief."
    assert [sentence.voice for sentence in answer(stages, ("", "Hi."))] == [""]
    session.say_text("again")
    assert prompt_of(stages).messages[2].text == "Hi."
