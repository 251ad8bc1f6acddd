"""Dataclasses as settings: built from JSON with names, types and ranges checked; described as a JSON schema."""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import json
import math
import sys
import textwrap
import types
import typing
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal

from clients.service import Trouble


class SettingsError(Trouble):
    """A setting that cannot be used; the message names it and says what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 2)


class EnvironmentText(str):
    """Text from the environment: it is read as JSON where something else than a text is wanted."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a setting may have."""

    low: float
    high: float = math.inf

    def __str__(self) -> str:
        return f"at least {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"


def build(cls: type, tree: object, key: str = "") -> Any:
    """Return an instance of a settings dataclass.

    key: where the tree stands in the settings, for messages.  Keys that begin with // are comments.
    Raises SettingsError.
    """
    if not isinstance(tree, dict):
        raise SettingsError(f"{key or 'the settings'}: is {_shown(tree)}; allowed is an object of settings")
    kinds = _kinds(cls)
    values = {}
    for name, value in tree.items():
        path = f"{key}.{name}" if key else str(name)
        if str(name).startswith("//"):
            continue
        if name not in kinds:
            near = difflib.get_close_matches(str(name), kinds, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(kinds)}"
            raise SettingsError(f"{path}: there is no such setting{hint}")
        values[name] = _read(kinds[name], value, path)
    return cls(**values)


@cache
def _kinds(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {each.name: hints[each.name] for each in fields(cls)}


def _read(kind: Any, value: object, path: str) -> Any:
    origin = typing.get_origin(kind)
    if isinstance(value, EnvironmentText) and kind is not str and origin is not Literal:
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if is_dataclass(kind):
        return build(typing.cast(type, kind), value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingsError(f"{path}: is {_shown(value)}; allowed is a list")
        item = typing.get_args(kind)[0]
        return tuple(_read(item, each, f"{path}[{i}]") for i, each in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _read(typing.get_args(kind)[0], value, path)
    if origin is Literal:
        if value in typing.get_args(kind):
            return value
        choices = [str(choice) for choice in typing.get_args(kind)]
        near = difflib.get_close_matches(str(value), choices, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"{path}: is {_shown(value)}; allowed is {', '.join(choices)}{hint}")
    if origin is Annotated:
        base, limits = typing.get_args(kind)
        return _read_number(base, limits, value, path)
    if kind is float:
        return _read_number(float, Range(-math.inf), value, path)
    if not isinstance(value, kind):
        allowed = {str: "a text", bool: "true or false"}[kind]
        raise SettingsError(f"{path}: is {_shown(value)}; allowed is {allowed}")
    return value


def _read_number(kind: type, limits: Range, value: object, path: str) -> float:
    # A whole number may be too long to be made a float.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    is_whole = kind is float or isinstance(value, int)
    if not is_number or not is_whole or not limits.low <= typing.cast(float, value) <= limits.high:
        what = "a number" if kind is float else "a whole number"
        raise SettingsError(f"{path}: is {_shown(value)}; allowed is {what}, {limits}")
    return kind(value)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


# ---- as JSON ---------------------------------------------------------------------------------------------------------


def as_tree(value: Any) -> Any:
    """Return settings as JSON values."""
    if is_dataclass(value):
        return {each.name: as_tree(getattr(value, each.name)) for each in fields(value)}
    return [as_tree(each) for each in value] if isinstance(value, tuple) else value


def json_schema(cls: type) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a settings dataclass."""
    meanings = _meanings(cls)
    kinds = _kinds(cls)
    properties = {}
    for each in fields(cls):
        described = _schema_of(kinds[each.name])
        if each.name in meanings:
            described["description"] = meanings[each.name]
        if not is_dataclass(kinds[each.name]):
            described["default"] = as_tree(_default_of(each))
        properties[each.name] = described
    pattern = {"^//": {"description": "A comment."}}
    return {
        "type": "object",
        "description": inspect.getdoc(cls),
        "properties": properties,
        "patternProperties": pattern,
        "additionalProperties": False,
    }


def _schema_of(kind: Any) -> dict[str, Any]:
    origin = typing.get_origin(kind)
    if is_dataclass(kind):
        return json_schema(typing.cast(type, kind))
    if origin is tuple:
        return {"type": "array", "items": _schema_of(typing.get_args(kind)[0])}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_schema_of(typing.get_args(kind)[0]), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(typing.get_args(kind))}
    if origin is Annotated:
        base, limits = typing.get_args(kind)
        ends = {"minimum": limits.low, "maximum": limits.high}
        return {**_schema_of(base), **{name: end for name, end in ends.items() if math.isfinite(end)}}
    return {"type": {str: "string", bool: "boolean", int: "integer", float: "number"}[kind]}


def _default_of(each: Field[Any]) -> Any:
    return each.default_factory() if each.default_factory is not MISSING else each.default


def _meanings(cls: type) -> dict[str, str]:
    """Return the texts below the fields, which Python itself does not keep."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for before, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):  # noqa: SIM102 - one thought each
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[before.target.id] = str(after.value.value)
    return found
