"""Where settings come from: the JSON file, the environment variables that it names, and those that override it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from app.errors import ConfigError
from app.settings import EnvironmentText, suggest

DEFAULT_PATH = "config.json"
PREFIX = "EARSHOT_"
NOT_SETTINGS = frozenset({"EARSHOT_CONFIG", "EARSHOT_SPEECH_DIR", "EARSHOT_TOKEN", "EARSHOT_URL"})
"""Variables with our prefix that are no settings: the path of the file, and the recordings that the tests use."""

_REFERENCE = re.compile(r"\$(?:\$\{|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|\{)")


def read_file(path: str | None) -> dict[str, Any]:
    """Return the JSON object of the file without its comments; {} when no path is given and there is no config.json.

    Raises ConfigError that says the place of a mistake.
    """
    if path is None and not Path(DEFAULT_PATH).exists():
        return {}
    name = path or DEFAULT_PATH
    try:
        tree = json.loads(Path(name).read_text(encoding="utf-8-sig"), object_pairs_hook=_without_comments)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}, line {error.lineno}, column {error.colno}: is not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: is not UTF-8 text, from byte {error.start} on") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}: must hold one JSON object, {{…}}")
    return tree


def apply_overrides(
    tree: dict[str, Any],
    environ: Mapping[str, str],
    settings: Mapping[str, Collection[str]],
    open_sections: Collection[str],
) -> None:
    """Write each EARSHOT_ variable into its place in the tree, a double underscore for each level.

    settings: section to the names in it; a key without a section has no names.
    open_sections: those that also hold sections of backends, of any name.
    Raises ConfigError on a variable that is no setting.
    """
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        parts = variable[len(PREFIX) :].lower().split("__")
        if not _is_setting(parts, settings, open_sections):
            raise ConfigError(f"{variable}: no such setting; {suggest(variable, variables(settings))}")
        _write(tree, parts, environ[variable])


def variables(settings: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names of the variables that override settings."""
    paths = [[section, name] for section, names in settings.items() for name in names]
    keys = [[key] for key, names in settings.items() if not names]
    return [PREFIX + "__".join(path).upper() for path in paths + keys]


def fill_in(value: Any, environ: Mapping[str, str], key: str = "") -> Any:
    """Return the value with `${NAME}` and `${NAME:-default}` replaced in every text; `$${` stands for a plain `${`.

    Raises ConfigError that names the key and the variable that is not set.
    """
    if isinstance(value, dict):
        return {k: fill_in(v, environ, f"{key}.{k}".lstrip(".")) for k, v in value.items()}
    if isinstance(value, list):
        return [fill_in(v, environ, f"{key}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str) or isinstance(value, EnvironmentText) or "${" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            raise ConfigError(f"{key}: holds ${{ without the name of a variable; write $${{ for a plain ${{")
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            raise ConfigError(f"{key}: needs the environment variable {name}, which is not set")
        return environ[name]

    return EnvironmentText(_REFERENCE.sub(replace, value))


def _without_comments(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    kept = [(name, value) for name, value in pairs if not name.startswith("//")]
    tree = dict(kept)
    if len(tree) < len(kept):
        names = [name for name, _ in kept]
        raise ConfigError(f"{next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
    return tree


def _is_setting(parts: list[str], settings: Mapping[str, Collection[str]], open_sections: Collection[str]) -> bool:
    if parts[0] not in settings:
        return False
    if len(parts) == 1:
        return True
    return parts[1] in settings[parts[0]] or (parts[0] in open_sections and len(parts) > 2 and all(parts))


def _write(tree: dict[str, Any], parts: list[str], text: str) -> None:
    """Set the value at the path; an object is merged into the one that stands there."""
    node = tree
    for part in parts[:-1]:
        name = _same_name(part, node)
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    name, value = _same_name(parts[-1], node), EnvironmentText(text).as_json()
    if isinstance(value, dict):
        there = node.get(name)
        node[name] = {**(there if isinstance(there, dict) else {}), **value}
    else:
        node[name] = EnvironmentText(text)


def _same_name(part: str, node: Mapping[str, Any]) -> str:
    """Return the key of the node that a variable can only write in small letters with underscores."""
    return next((name for name in node if re.sub(r"\W", "_", name.lower()) == part), part)
