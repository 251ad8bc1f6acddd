"""What the language model is told about the characters, and how it reads what they said."""

from app.conversation.cast import write_script, write_system_prompt
from app.conversation.history import History
from app.messages import ChatMessage


def test_without_characters_the_prompt_is_as_it_was() -> None:
    """Nothing is added for a voice without a name."""
    assert write_system_prompt("Be brief.", {}) == "Be brief."
    assert write_system_prompt("", {}) == ""


def test_one_character_is_what_the_model_is() -> None:
    """The one who speaks alone is told its name and nature, after what holds for all."""
    assert write_system_prompt("Be brief.", {"Anna": "You doubt."}) == "Be brief.\n\nYou are Anna. You doubt."
    assert write_system_prompt("", {"Anna": ""}) == "You are Anna."


def test_several_characters_are_listed_with_the_form_to_answer_in() -> None:
    """The model learns all names, natures and how to mark who speaks."""
    told = write_system_prompt("Be brief.", {"Anna": "Doubts.", "Tom": "", "Eve": "Sings."})
    assert told.startswith("Be brief.\n\n")
    assert "\nAnna: Doubts.\nTom\nEve: Sings.\n" in told
    assert '"Anna: …"' in told


def test_a_script_has_a_line_for_each_speaker_in_turn() -> None:
    """Sentences of one speaker stand together behind one name."""
    lines = [("Anna", "One."), ("Anna", "Two."), ("Tom", "Three."), ("", "Four."), ("Anna", "Five.")]
    assert write_script(lines) == "Anna: One. Two.\nTom: Three.\nFour.\nAnna: Five."
    assert write_script([]) == ""


class Said:
    """A turn that has ended."""

    heard = "hello"
    spoken_lines = [("Anna", "Hi."), ("Tom", "Good day.")]  # noqa: RUF012
    spoken_text = "Hi. Good day."


def test_the_history_names_the_speakers_when_there_are_several() -> None:
    """The language model reads the form in which it is to go on; `last_reply` is what was heard."""
    history = History(5)
    history.add(Said())
    assert history.messages()[1] == ChatMessage("assistant", "Hi. Good day.")
    assert history.messages(names_speakers=True)[1] == ChatMessage("assistant", "Anna: Hi.\nTom: Good day.")
    assert history.last_reply == "Hi. Good day."
