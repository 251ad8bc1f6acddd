"""The characters of the configuration: their names, and the voices that can be chosen."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

from app.config_sections import CharacterConfig, TtsConfig
from app.errors import ConfigError
from app.settings import suggest

_MAX_NAME_CHARS = 40
_BETWEEN_LETTERS = re.compile("[ '-]")


def split_voice(voice: str) -> tuple[str, str]:
    """Return the backend of a voice written `backend/voice`, and its name there; empty for its configured one."""
    backend, _, name = voice.partition("/")
    return backend, name


def voices_in_use(characters: Mapping[str, CharacterConfig], tts: TtsConfig) -> dict[str, str]:
    """Return every voice that the configuration names, by the key where it stands."""
    of_characters = {f"characters.{name}.voice": character.voice for name, character in characters.items()}
    of_sessions = {f"tts.voices[{i}]": voice for i, voice in enumerate(tts.voices)}
    return {key: voice for key, voice in of_characters.items() if voice} | of_sessions


def check_characters(characters: Mapping[str, CharacterConfig], tts: TtsConfig) -> None:
    """Refuse names that cannot be told apart in a reply, and voices of backends that are not there.

    Raises ConfigError.
    """
    for name in characters:
        if not _is_name(name):
            raise ConfigError(
                f"characters: no character can be called {name!r}; allowed are 1 to {_MAX_NAME_CHARS} letters and "
                "digits, with single blanks, hyphens and apostrophes between them"
            )
    counts = Counter(map(str.casefold, characters))
    if twins := [name for name in characters if counts[name.casefold()] > 1]:
        raise ConfigError(f"characters: {' and '.join(twins)} are the same name; give each its own")
    for key, voice in voices_in_use(characters, tts).items():
        backend, _ = split_voice(voice)
        if backend not in tts.backends:
            raise ConfigError(
                f"{key}: is {voice!r}; allowed is a name of tts.backends, alone or as backend/voice; "
                f"{suggest(backend, tts.backends)}"
            )


def _is_name(name: str) -> bool:
    parts = _BETWEEN_LETTERS.split(name)
    return len(name) <= _MAX_NAME_CHARS and all(part and all(map(_is_letter, part)) for part in parts)


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
