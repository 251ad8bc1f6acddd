"""Settings checked against a dataclass: names, types, ranges, and errors that never show a secret."""

from __future__ import annotations

import difflib
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any

from app.errors import ConfigError

_SECRET_NAME = re.compile(
    r"key(?!word|term|phrase)|token(?!s)|^tokens$|secret|passw|credential|authori|headers|cookie|webhook_url",
    re.IGNORECASE,
)
_URL_SECRETS = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=\?).+")
_SHOWN_CHARS = 60
_LARGEST = 1e300
_LISTED_NAMES = 30


class EnvironmentText(str):
    """Text from an environment variable: it becomes a number, a truth value or a list where one is wanted."""

    __slots__ = ()

    def as_json(self) -> Any:
        """Return what the text says as JSON, and the text itself when it is none."""
        try:
            return json.loads(self)
        except ValueError:
            return str(self)

    def as_list(self) -> Any:
        """Return a list from JSON or from words with commas between them."""
        if self.lstrip().startswith("["):
            return self.as_json()
        return [EnvironmentText(word.strip()) for word in self.split(",") if word.strip()]


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a setting may have, as in `Annotated[int, Range(0, 65535)]`."""

    low: float
    high: float = math.inf
    includes_low: bool = True

    def holds(self, number: float) -> bool:
        """Say whether the number is within the range."""
        return (number >= self.low if self.includes_low else number > self.low) and number <= self.high

    def __str__(self) -> str:
        low = f"of at least {self.low:g}" if self.includes_low else f"above {self.low:g}"
        if math.isinf(self.high):
            return low
        return f"from {self.low:g} to {self.high:g}" if self.includes_low else f"{low} and up to {self.high:g}"


Count = Annotated[int, Range(1)]
CountOrZero = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, includes_low=False)]
Seconds = Positive
SecondsOrZero = Annotated[float, Range(0)]


def build_config(config_class: type, settings: Mapping[str, Any], key: str) -> Any:
    """Make a Config dataclass from a mapping, checking names, types and ranges.

    key: the path of the mapping in the configuration, such as `tts.flite`.  Raises ConfigError.
    """
    known = {f.name: f for f in fields(config_class) if f.init}
    types_ = typing.get_type_hints(config_class, include_extras=True)
    values = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"{key}.{name}: no such setting; {suggest(name, known)}")
        values[name] = check_type(value, types_[name], f"{key}.{name}")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise ConfigError(f"{key}.{name}: is needed and has no default")
    try:
        return config_class(**values)
    except (ConfigError, ValueError) as error:
        names_setting = str(error).partition(":")[0] in known
        raise ConfigError(f"{key}{'.' if names_setting else ': '}{error}") from None


def check_type(value: Any, wanted: Any, key: str) -> Any:
    """Return `value` as type `wanted`; an int is taken where a float is wanted, a list where a tuple is.

    Raises ConfigError that names the key, the value and what is allowed.
    """
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Annotated:
        return _check_range(value, wanted, key)
    if origin in (typing.Union, types.UnionType):
        return _check_union(value, wanted, key)
    if isinstance(value, EnvironmentText) and wanted is not str and origin is not typing.Literal:
        value = value.as_list() if origin is tuple else value.as_json()
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(check_type(item, args[0], f"{key}[{i}]") for i, item in enumerate(value))
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {str(k): check_type(v, args[1], f"{key}.{k}") for k, v in value.items()}
    if origin is typing.Literal and value in args:
        return args[args.index(value)]
    if is_dataclass(wanted) and isinstance(wanted, type) and isinstance(value, Mapping):
        return build_config(wanted, value, key)
    if origin is None and _is_plain(value, wanted):
        return wanted(value) if wanted in (float, str) else value
    raise _not_allowed(value, wanted, key)


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which spelling was probably meant, and which there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]!r}?" if near else ""
    if len(names) > _LISTED_NAMES:
        return meant or "see docs/configuration.md"
    return f"{meant} known are {', '.join(names) or 'none'}".lstrip()


def is_secret(name: str) -> bool:
    """Say whether a setting of this name holds something that must not be shown."""
    return _SECRET_NAME.search(name) is not None


def show(value: Any, key: str) -> str:
    """Return the value as an error may show it.

    A secret is hidden, and so are the user and the query of a URL; what is long is cut.
    """
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is not None and any(is_secret(name) for name in re.split(r"[.\[\]]", key)):
        return "<hidden>"
    text = _URL_SECRETS.sub("<hidden>", value) if isinstance(value, str) and "://" in value else value
    shown = repr(text)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"


def _check_range(value: Any, wanted: Any, key: str) -> Any:
    base, *limits = typing.get_args(wanted)
    try:
        checked = check_type(value, base, key)
    except ConfigError:
        raise _not_allowed(value, wanted, key) from None
    if all(limit.holds(checked) for limit in limits if isinstance(limit, Range)):
        return checked
    raise _not_allowed(value, wanted, key)


def _check_union(value: Any, wanted: Any, key: str) -> Any:
    for option in typing.get_args(wanted):
        try:
            return check_type(value, option, key)
        except ConfigError:
            continue
    raise _not_allowed(value, wanted, key)


def _is_plain(value: Any, wanted: Any) -> bool:
    if wanted is Any:
        return True
    if wanted is float:
        return type(value) in (int, float) and -_LARGEST < value < _LARGEST
    if wanted is str:
        return isinstance(value, str)
    return isinstance(wanted, type) and type(value) is wanted


def _not_allowed(value: Any, wanted: Any, key: str) -> ConfigError:
    return ConfigError(f"{key}: is {show(value, key)}; allowed is {_describe(wanted)}")


def _describe(wanted: Any) -> str:
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Annotated:
        return " ".join([_describe(args[0]), *(str(limit) for limit in args[1:] if isinstance(limit, Range))])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(a) for a in args)
    if origin is typing.Literal:
        return " or ".join(map(repr, args))
    if origin is tuple:
        return f"a list of {_describe(args[0])}"
    if origin in (dict, Mapping):
        return f"an object of {_describe(args[1])}"
    if is_dataclass(wanted):
        return f"an object with {', '.join(f.name for f in fields(wanted))}"
    return names.get(wanted, getattr(wanted, "__name__", str(wanted)))
