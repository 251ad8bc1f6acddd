"""The configuration: loaded from a file and the environment, checked, and shared by everything above."""

from __future__ import annotations

import ipaddress
import os
import zoneinfo
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from app.config_characters import check_characters
from app.config_sections import (
    AnalysisConfig,
    CharacterConfig,
    HomeConfig,
    ListeningConfig,
    LlmConfig,
    ServerConfig,
    SessionConfig,
    StageConfig,
    SttConfig,
    TokenConfig,
    TtsConfig,
)
from app.config_source import apply_overrides, fill_in, read_file
from app.errors import ConfigError
from app.legacy_config import LEGACY_KEYS, translate
from app.settings import build_config, check_type, show, suggest

__all__ = [
    "STAGES",
    "AnalysisConfig",
    "CharacterConfig",
    "Config",
    "HomeConfig",
    "ListeningConfig",
    "LlmConfig",
    "ServerConfig",
    "SessionConfig",
    "StageConfig",
    "SttConfig",
    "TokenConfig",
    "TtsConfig",
    "load_config",
]

SECTIONS = {
    "server": ServerConfig,
    "session": SessionConfig,
    "listening": ListeningConfig,
    "home": HomeConfig,
    "stt": SttConfig,
    "llm": LlmConfig,
    "tts": TtsConfig,
    "analysis": AnalysisConfig,
}
STAGES = ("stt", "llm", "tts", "analysis")
"""The sections that each describe a stage and its backends."""
NAMED_SECTIONS = {"characters": CharacterConfig}
"""The sections that hold entries under names of the operator's choice."""

_MIN_TOKEN_CHARS = 8


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set."""

    server: ServerConfig = field(default_factory=ServerConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    listening: ListeningConfig = field(default_factory=ListeningConfig)
    home: HomeConfig = field(default_factory=HomeConfig)
    stt: SttConfig = field(default_factory=SttConfig)
    llm: LlmConfig = field(default_factory=LlmConfig)
    tts: TtsConfig = field(default_factory=TtsConfig)
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    characters: dict[str, CharacterConfig] = field(default_factory=dict)
    "Who speaks, by name; empty for one voice without a name."
    notices: tuple[str, ...] = ()
    "Lines for the operator, shown at start."

    def stage(self, name: str) -> StageConfig:
        """Return the section of a stage: `stt`, `llm`, `tts` or `analysis`."""
        if name not in STAGES:
            raise KeyError(name)
        section: StageConfig = getattr(self, name)
        return section

    def backend_settings(self, stage: str, name: str) -> tuple[str, dict[str, Any]]:
        """Return the engine of a backend and its own settings, not yet checked and without those of `home`."""
        settings = dict(self.stage(stage).sections.get(name, {}))
        return settings.pop("engine", name), settings


def load_config(path: str | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read, override and check the configuration.

    path: of the JSON file; else what EARSHOT_CONFIG says, else ./config.json where there is one, else the defaults.
    environ: the environment variables, `os.environ` when not given.  Raises ConfigError, which never shows a secret.
    """
    environ = os.environ if environ is None else environ
    tree = read_file(path or environ.get("EARSHOT_CONFIG") or None)
    _check_sections(tree)
    names = {section: setting_names(section) for section in SECTIONS}
    free = dict.fromkeys((*NAMED_SECTIONS, *LEGACY_KEYS), ())
    apply_overrides(tree, environ, {**names, **free}, (*STAGES, *NAMED_SECTIONS))
    _check_sections(tree)
    tree, notices = translate(fill_in(tree, environ))
    config = _build(tree, notices)
    _check_server(config.server)
    _check_home(config.home)
    for stage in STAGES:
        _check_stage(stage, config.stage(stage))
    check_characters(config.characters, config.tts)
    return replace(config, notices=(*config.notices, *_notices(config)))


def setting_names(section: str) -> list[str]:
    """Return the names of the settings in a section, without those of backends."""
    return [f.name for f in fields(SECTIONS[section]) if f.name != "sections"]


def _check_sections(tree: Mapping[str, Any]) -> None:
    known = [*SECTIONS, *NAMED_SECTIONS, *LEGACY_KEYS]
    for key, value in tree.items():
        if key not in known:
            raise ConfigError(f"{key}: no such section; {suggest(key, known)}")
        if (key in SECTIONS or key in NAMED_SECTIONS) and not isinstance(value, dict):
            raise ConfigError(f"{key}: is {show(value, key)}; allowed is an object, {{…}}")


def _build(tree: Mapping[str, Any], notices: tuple[str, ...]) -> Config:
    built: dict[str, Any] = {}
    for name in SECTIONS:
        settings = dict(tree.get(name, {}))
        if name in STAGES:
            built[name] = _build_stage(name, settings)
            continue
        if isinstance(tokens := settings.get("tokens"), Mapping):
            settings["tokens"] = {k: {"token": v} if isinstance(v, str) else v for k, v in tokens.items()}
        built[name] = build_config(SECTIONS[name], settings, name)
    for name, entry in NAMED_SECTIONS.items():
        built[name] = check_type(tree.get(name, {}), dict[str, entry], name)  # type: ignore[valid-type]
    return Config(**built, notices=notices)


def _build_stage(stage: str, settings: Mapping[str, Any]) -> StageConfig:
    """Part the stage's own settings from the sections of its backends."""
    names = setting_names(stage)
    built: StageConfig = build_config(SECTIONS[stage], {k: v for k, v in settings.items() if k in names}, stage)
    sections = {k: v for k, v in settings.items() if k not in names}
    for name, section in sections.items():
        if isinstance(section, Mapping) and "engine" in section:
            check_type(section["engine"], str, f"{stage}.{name}.engine")
        elif name not in built.backends:
            hint = f"; a section of a backend needs its name in {stage}.backends, or the key engine"
            raise ConfigError(
                f"{stage}.{name}: no such setting; {suggest(name, {*names, *built.backends})}"
                + (hint if isinstance(section, Mapping) else "")
            )
        elif not isinstance(section, Mapping):
            raise ConfigError(f"{stage}.{name}: is {show(section, name)}; allowed is an object of settings")
    return replace(built, sections=sections)


def _check_server(server: ServerConfig) -> None:
    for name, token in server.tokens.items():
        text, key = token.token, f"server.tokens.{name}"
        if len(text) < _MIN_TOKEN_CHARS or not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigError(f"{key}: allowed are at least {_MIN_TOKEN_CHARS} ASCII characters without blanks")
    counts = Counter(token.token for token in server.tokens.values())
    if twins := [name for name, token in server.tokens.items() if counts[token.token] > 1]:
        raise ConfigError(f"server.tokens: {' and '.join(twins)} have the same token; give each its own")
    if not (server.tokens or server.open_to_lan or _is_loopback(server.host)):
        raise ConfigError(
            f"server.host: is {server.host!r}, which others can reach, and server.tokens is empty; add a token, "
            "use 127.0.0.1, or set server.open_to_lan to true to let everyone in"
        )
    if bool(server.tls_cert) != bool(server.tls_key):
        missing = "tls_key" if server.tls_cert else "tls_cert"
        raise ConfigError(f"server.{missing}: is needed too; allowed are both of tls_cert and tls_key, or none")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_home(home: HomeConfig) -> None:
    if home.webhook_url and not home.webhook_url.startswith(("http://", "https://")):
        raise ConfigError("home.webhook_url: allowed is an address that begins with http:// or https://")
    if not home.time_zone:
        return
    try:
        zoneinfo.ZoneInfo(home.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = suggest(home.time_zone, zoneinfo.available_timezones())
        raise ConfigError(f"home.time_zone: no zone is called {home.time_zone!r}; {near}") from None


def _check_stage(stage: str, config: StageConfig) -> None:
    if not config.backends and stage != "analysis":
        raise ConfigError(f"{stage}.backends: is empty; allowed is a list of at least one backend")
    if len(set(config.backends)) < len(config.backends):
        raise ConfigError(f"{stage}.backends: is {list(config.backends)}; allowed is each name once")


def _notices(config: Config) -> tuple[str, ...]:
    if config.server.tokens or _is_loopback(config.server.host):
        return ()
    return (f"server.open_to_lan: everyone who reaches {config.server.host} may speak and listen; no token is asked",)
