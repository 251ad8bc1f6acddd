"""Backends by name: the lazy registry, and each one's settings out of the configuration."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from app.config import Config
from app.config_characters import split_voice, voices_in_use
from app.errors import ConfigError
from app.settings import build_config, check_type, suggest

__all__ = ["backend_config", "build_config", "check_type", "check_voices", "find_class", "suggest"]


def find_class(registry: Mapping[str, str], engine: str, key: str) -> type:
    """Import the class of an engine; its module imports vendor packages only when it loads.

    registry: name to "module:Class".  key: where the name stands in the configuration, for the error.
    Raises ConfigError that lists the known names.
    """
    try:
        module, _, name = registry[engine].partition(":")
    except KeyError:
        raise ConfigError(f"{key}: no backend is called {engine!r}; {suggest(engine, registry)}") from None
    return getattr(importlib.import_module(module), name)


def backend_config(registry: Mapping[str, str], config: Config, stage: str, name: str) -> tuple[type, Any]:
    """Return the class of a listed backend and its Config instance, made from its section and the home settings.

    registry: the stage's BACKENDS.  stage: one of `app.config.STAGES`.  name: as it stands in `<stage>.backends`.
    Raises ConfigError with the full path of the setting, such as `tts.flite.voice`.
    """
    engine, settings = config.backend_settings(stage, name)
    has_engine_key = "engine" in config.stage(stage).sections.get(name, {})
    backend = find_class(registry, engine, f"{stage}.{name}.engine" if has_engine_key else f"{stage}.backends")
    config_class: type = backend.Config  # type: ignore[attr-defined]
    wanted = {f.name for f in fields(config_class)}
    home = {f.name: getattr(config.home, f.name) for f in fields(config.home) if f.name in wanted}
    return backend, build_config(config_class, {**home, **settings}, f"{stage}.{name}")


def check_voices(registry: Mapping[str, str], config: Config) -> None:
    """Refuse a voice that its engine is known not to have, as far as that is known without loading it.

    registry: the BACKENDS of tts.  Raises ConfigError with the key of the voice, such as `characters.Anna.voice`.
    """
    for key, spoken in voices_in_use(config.characters, config.tts).items():
        backend, voice = split_voice(spoken)
        known: tuple[str, ...] = getattr(backend_config(registry, config, "tts", backend)[0], "VOICES", ())
        if voice and known and voice not in known:
            raise ConfigError(f"{key}: {backend} has no voice {voice!r}; {suggest(voice, known)}")
