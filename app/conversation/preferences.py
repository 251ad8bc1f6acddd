"""What a session may choose for itself, and what it chose.  Values only: nothing here changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from app.config import CharacterConfig
from app.conversation.cast import write_system_prompt
from app.errors import BadSettings
from app.messages import Message, Sentence
from app.settings import show, suggest

MAX_TEMPERATURE = 2.0


@dataclass(frozen=True, slots=True)
class Choices:
    """What the configuration lets a session choose."""

    characters: Mapping[str, CharacterConfig] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    "Each `backend` or `backend/voice`."

    def as_dict(self) -> dict[str, list[str]]:
        """Return what goes into JSON: lists of names."""
        return {"characters": list(self.characters), "models": list(self.models), "voices": list(self.voices)}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one session chose; None for the default."""

    choices: Choices = field(default_factory=Choices)
    model: str | None = None
    temperature: float | None = None
    character: str | None = None
    "Who speaks alone; None lets all characters speak."
    voice: str | None = None

    # ---- choosing -------------------------------------------------------------------------------------------------

    def change(self, data: Mapping[str, object]) -> Preferences:
        """Return the preferences with some of them chosen anew; null and an empty text go back to the default.

        Raises BadSettings that says what is allowed.
        """
        allowed: dict[str, Collection[str]] = {
            "model": self.choices.models,
            "character": self.choices.characters,
            "voice": self.choices.voices,
        }
        changes: dict[str, str | float | None] = {}
        for name, value in data.items():
            if name == "temperature":
                changes[name] = _check_temperature(value)
            elif name in allowed:
                changes[name] = _check_name(name, value, allowed[name])
            else:
                raise BadSettings(f"{name}: no such setting; {suggest(str(name), [*allowed, 'temperature'])}")
        return replace(self, **changes)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, str | float | None]:
        """Return what goes into JSON."""
        return {
            "model": self.model, "temperature": self.temperature, "character": self.character, "voice": self.voice
        }  # fmt: skip

    # ---- what follows from it -------------------------------------------------------------------------------------

    @property
    def speaking(self) -> tuple[str, ...]:
        """Who may speak in a reply; empty when there are no characters."""
        return (self.character,) if self.character else tuple(self.choices.characters)

    @property
    def names_speakers(self) -> bool:
        """Whether the language model must be told who said what."""
        return len(self.choices.characters) > 1

    def system_prompt(self, base: str) -> str:
        """Return what the language model is told before the conversation."""
        return write_system_prompt(base, {name: self.choices.characters[name].prompt for name in self.speaking})

    def options(self) -> dict[str, object]:
        """Return the options of a prompt; what is left to the backend is left out."""
        alone = self._speaks_alone()
        options = {"model": self.model or (alone and alone.model) or None, "temperature": self.temperature}
        return {name: value for name, value in options.items() if value is not None}

    def give_voice(self, message: Message) -> Message:
        """Return a sentence with the voice that is to speak it; another message as it is."""
        if not isinstance(message, Sentence):
            return message
        character = self.choices.characters.get(message.character) or self._speaks_alone()
        return replace(message, voice=(character and character.voice) or self.voice or "")

    def _speaks_alone(self) -> CharacterConfig | None:
        return self.choices.characters[self.speaking[0]] if len(self.speaking) == 1 else None


def _check_name(key: str, value: object, allowed: Collection[str]) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in allowed:
        text = f"is {show(value, key)}; allowed is null for the default, or a name of the list"
        raise BadSettings(f"{key}: {text}; {suggest(str(value), allowed)}")
    return value


def _check_temperature(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_TEMPERATURE:
        text = f"is {show(value, 'temperature')}; allowed is a number from 0 to {MAX_TEMPERATURE:g}, or null"
        raise BadSettings(f"temperature: {text}")
    return float(value)
