"""Backends by name: the lazy registry, and the check of each one's settings."""

from __future__ import annotations

import difflib
import importlib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from app.errors import ConfigError


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


def build_config(config_class: type, settings: Mapping[str, Any], key: str) -> Any:
    """Make a Config dataclass from a mapping, checking names and types.

    key: the path of the mapping in the configuration, such as `tts.flite`.  Raises ConfigError.
    """
    known = {f.name: f for f in fields(config_class)}
    types_ = typing.get_type_hints(config_class)
    values = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"{key}.{name}: no such setting; {suggest(name, known)}")
        values[name] = check_type(value, types_[name], f"{key}.{name}")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise ConfigError(f"{key}.{name}: is needed and has no default")
    return config_class(**values)


def check_type(value: Any, wanted: Any, key: str) -> Any:
    """Return `value` as type `wanted`; an int is taken where a float is wanted, a list where a tuple is.

    Raises ConfigError that names the key, the value and what is allowed.
    """
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        for option in args:
            try:
                return check_type(value, option, key)
            except ConfigError:
                continue
    elif origin is typing.Literal:
        if value in args:
            return value
        raise ConfigError(f"{key}: is {value!r}; allowed is {' or '.join(map(repr, args))}")
    elif origin is tuple and isinstance(value, (list, tuple)):
        return tuple(check_type(item, args[0], f"{key}[{i}]") for i, item in enumerate(value))
    elif origin is dict and isinstance(value, Mapping):
        return {str(k): check_type(v, args[1], f"{key}.{k}") for k, v in value.items()}
    elif wanted is Any:
        return value
    elif wanted is type(None) and value is None:
        return None
    elif wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(wanted, type) and type(value) is wanted:
        return value
    raise ConfigError(f"{key}: is {value!r}; allowed is {_describe(wanted)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which spelling was probably meant, and which there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known are {', '.join(names)}"


def _describe(wanted: Any) -> str:
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(a) for a in args)
    if origin is tuple:
        return f"a list of {_describe(args[0])}"
    if origin is dict:
        return f"an object of {_describe(args[1])}"
    return names.get(wanted, getattr(wanted, "__name__", str(wanted)))
