"""A backend is found by name and gets its settings, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from app.backends import backend_config
from app.errors import ConfigError
from tests.configuration import Load


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a backend made for these tests."""

    language: str = ""
    size: int = 1
    speed: float = 1.0
    api_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.size > 9:
            raise ValueError("size and speed do not go together")
        if self.speed <= 0:
            raise ConfigError(f"speed: is {self.speed}; allowed is a number above 0")


class Demo:
    """A backend made for these tests."""

    Config: ClassVar[type] = DemoConfig


DEMO = {"demo": f"{__name__}:Demo"}


def test_a_backend_gets_its_section_and_the_home_settings(load: Load) -> None:
    """Settings of the home fill what the backend's own section leaves open."""
    tree = {"home": {"language": "fr"}, "stt": {"backends": ["demo", "two"], "two": {"engine": "demo", "size": 2}}}
    config = load(tree, EARSHOT_STT__TWO__SPEED="1.5", EARSHOT_STT__TWO__LANGUAGE="de")
    backend, settings = backend_config(DEMO, config, "stt", "demo")
    assert (backend.__name__, settings) == ("Demo", DemoConfig(language="fr"))
    assert backend_config(DEMO, config, "stt", "two")[1] == DemoConfig(language="de", size=2, speed=1.5)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"siz": 2}, "stt.two.siz: no such setting; did you mean 'size'?"),
        ({"size": "big"}, "stt.two.size: is 'big'; allowed is a whole number"),
        ({"speed": 0}, "stt.two.speed: is 0.0; allowed is a number above 0"),
        ({"size": 10}, "stt.two: size and speed do not go together"),
        ({"engine": "dem"}, "stt.two.engine: no backend is called 'dem'; did you mean 'demo'?"),
    ],
)
def test_an_error_in_a_backend_names_the_whole_path(load: Load, section: Mapping[str, Any], message: str) -> None:
    """The key in the error is the one to mend in the file."""
    config = load({"stt": {"backends": ["two"], "two": {"engine": "demo", **section}}})
    with pytest.raises(ConfigError) as caught:
        backend_config(DEMO, config, "stt", "two")
    assert caught.value.message.startswith(message)


def test_an_unknown_backend_is_refused_with_the_known_ones(load: Load) -> None:
    """A listed name without a section is the name of an engine."""
    with pytest.raises(ConfigError, match=r"^stt\.backends: no backend is called 'dmo'; did you mean 'demo'\?"):
        backend_config(DEMO, load({"stt": {"backends": ["dmo"]}}), "stt", "dmo")


def test_an_error_in_a_backend_shows_no_secret(load: Load) -> None:
    """An error about a key does not hold it, and of an address only the harmless part is shown."""
    config = load({"stt": {"backends": ["demo"], "demo": {"engine": "demo", "api_key": ["hush"]}}})
    with pytest.raises(ConfigError) as caught:
        backend_config(DEMO, config, "stt", "demo")
    assert str(caught.value) == "stt.demo.api_key: is a list; allowed is a text"
    config = load({"stt": {"backends": ["demo"], "demo": {"size": "http://me:hush@host/?k=hush"}}})
    with pytest.raises(ConfigError) as caught:
        backend_config(DEMO, config, "stt", "demo")
    assert "hush" not in str(caught.value)
    assert "host" in str(caught.value)
