"""Every setting is in the example and in the manual, and all that they show works."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app import config_sections
from app.analysis.backend import BACKENDS as ANALYSIS_BACKENDS
from app.backends import backend_config, check_voices, find_class
from app.config import NAMED_SECTIONS, SECTIONS, STAGES, Config, StageConfig, load_config, setting_names
from app.llm.backend import BACKENDS as LLM_BACKENDS
from app.settings import is_secret
from app.stt.backend import BACKENDS as STT_BACKENDS
from app.tts.backend import BACKENDS as TTS_BACKENDS

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "config.json.example"
MANUAL = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
REGISTRIES = {"stt": STT_BACKENDS, "llm": LLM_BACKENDS, "tts": TTS_BACKENDS, "analysis": ANALYSIS_BACKENDS}
SETTINGS = [(section, name) for section in SECTIONS for name in setting_names(section)]
OF_ENTRIES = [(section, f.name) for section, entry in NAMED_SECTIONS.items() for f in fields(entry)]
OF_EVERY_STAGE = {f.name for f in fields(StageConfig)} - {"backends", "sections"}
ANY_SECRET = {
    name: "a-token-for-the-" + name.lower()
    for name in ("OPENROUTER_API_KEY", "KITCHEN_TOKEN", "BEDROOM_TOKEN", "ADMIN_TOKEN", "HOME_WEBHOOK_ID")
}


def is_there(stage: str, engine: str) -> bool:
    """Say whether the module of a registered backend exists."""
    return importlib.util.find_spec(REGISTRIES[stage][engine].partition(":")[0]) is not None


BACKENDS = [(stage, engine) for stage, engines in REGISTRIES.items() for engine in engines if is_there(stage, engine)]


@cache
def meanings() -> Mapping[tuple[str, str], str]:
    """Return the text under each field, by class and field."""
    found = {}
    for cls in ast.parse(inspect.getsource(config_sections)).body:
        for line, under in zip(getattr(cls, "body", []), getattr(cls, "body", [])[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(under, ast.Expr):
                found[cls.name, line.target.id] = ast.literal_eval(under.value)
    return found


def meaning(section: str, name: str) -> str:
    """Return the text under a field, also of a class above."""
    found = meanings()
    return next(found[cls.__name__, name] for cls in SECTIONS[section].__mro__ if (cls.__name__, name) in found)


@cache
def example() -> dict[str, Any]:
    """Return the example with its comments."""
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


def shown_trees() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every configuration that the example and the manual show."""
    for section, settings in example().items():
        for name, tree in settings.get("//examples", {}).items() if isinstance(settings, dict) else ():
            yield f"example: {name}", {section: tree}
    for i, block in enumerate(re.findall(r"```json\n(.*?)```", MANUAL, re.DOTALL)):
        yield f"manual: block {i + 1}", json.loads(block)


def test_the_example_gives_the_defaults() -> None:
    """A copy of the example changes nothing."""
    assert load_config(str(EXAMPLE), {}) == Config()


@pytest.mark.parametrize(("section", "name"), SETTINGS)
def test_a_setting_is_in_the_example_with_its_meaning(section: str, name: str) -> None:
    """Each setting stands in the example, right under a comment that says what stands under the field."""
    keys = list(example()[section])
    assert name in keys
    assert keys[keys.index(name) - 1] == f"// {name}"
    assert example()[section][f"// {name}"] == meaning(section, name)


@pytest.mark.parametrize(("section", "name"), SETTINGS)
def test_a_setting_is_in_the_manual(section: str, name: str) -> None:
    """Each setting has a row with its default and its variable; a stage's own row counts before that of all stages."""
    has_own_row = f"\n| `{section}.{name}` |" in MANUAL
    place = "<stage>" if section in STAGES and name in OF_EVERY_STAGE and not has_own_row else section
    default = getattr(getattr(Config(), section), name)
    rows = [line for line in MANUAL.splitlines() if line.startswith(f"| `{place}.{name}` |")]
    variable = f"EARSHOT_{place}__{name}".upper()
    assert [row for row in rows if f"| `{json.dumps(default)}` |" in row and row.endswith(f"| `{variable}` |")]


@pytest.mark.parametrize("tree", [pytest.param(tree, id=name) for name, tree in shown_trees()])
def test_what_is_shown_works(tree: Mapping[str, Any], tmp_path: Path) -> None:
    """Each example is accepted, down to the settings of its backends."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    config = load_config(str(path), ANY_SECRET)
    for stage in STAGES:
        for name in config.stage(stage).backends:
            engine, _ = config.backend_settings(stage, name)
            if engine not in REGISTRIES[stage] or is_there(stage, engine):
                backend_config(REGISTRIES[stage], config, stage, name)
    check_voices(TTS_BACKENDS, config)


@pytest.mark.parametrize(("stage", "engine"), BACKENDS)
def test_a_backend_is_in_the_manual(stage: str, engine: str) -> None:
    """Each backend has a section in the manual that names all of its settings."""
    config_class = find_class(REGISTRIES[stage], engine, "registry").Config  # type: ignore[attr-defined]
    heading = f"### `{stage}`: `{engine}`\n"
    assert heading in MANUAL
    text = re.split(r"\n##+ ", MANUAL.partition(heading)[2])[0]
    assert [f.name for f in fields(config_class) if f"| `{f.name}` |" not in text] == []


@pytest.mark.parametrize(("stage", "engine"), BACKENDS)
def test_the_manual_gives_the_defaults_of_a_backend(stage: str, engine: str) -> None:
    """Each row has the default of its setting, or names the setting of the home that it is taken from."""
    config_class = find_class(REGISTRIES[stage], engine, "registry").Config  # type: ignore[attr-defined]
    text = re.split(r"\n##+ ", MANUAL.partition(f"### `{stage}`: `{engine}`\n")[2])[0]
    defaults = {
        name: f"home.{name}" if hasattr(Config().home, name) else json.dumps(value)
        for name, value in vars(config_class()).items()
    }
    rows = {name: re.search(rf"^\| `{name}` \|[^|]*\| `(.*?)` \|", text, re.MULTILINE) for name in defaults}
    assert {name: row[1] for name, row in rows.items() if row} == defaults


@pytest.mark.parametrize(("stage", "engine"), BACKENDS)
def test_a_backend_keeps_its_secrets(stage: str, engine: str) -> None:
    """A setting that holds a secret is left out of the text of its dataclass."""
    config_class = find_class(REGISTRIES[stage], engine, "registry").Config  # type: ignore[attr-defined]
    assert [f.name for f in fields(config_class) if is_secret(f.name) and f.repr] == []


def test_every_section_is_in_the_example() -> None:
    """The example has the sections and nothing else."""
    assert [key for key in example() if not key.startswith("//")] == [*SECTIONS, *NAMED_SECTIONS]


@pytest.mark.parametrize(("section", "name"), OF_ENTRIES)
def test_a_setting_of_an_entry_is_in_the_example_with_its_meaning(section: str, name: str) -> None:
    """Each setting of a named entry stands in the section's first example, right under a comment with its meaning."""
    entry = next(iter(next(iter(example()[section]["//examples"].values())).values()))
    keys = list(entry)
    assert keys[keys.index(name) - 1] == f"// {name}"
    assert entry[f"// {name}"] == meanings()[NAMED_SECTIONS[section].__name__, name]


@pytest.mark.parametrize(("section", "name"), OF_ENTRIES)
def test_a_setting_of_an_entry_is_in_the_manual(section: str, name: str) -> None:
    """Each setting of a named entry has a row with its default, its meaning and its variable."""
    default = json.dumps(getattr(NAMED_SECTIONS[section](), name))
    told = meanings()[NAMED_SECTIONS[section].__name__, name]
    variable = f"EARSHOT_{section}__<NAME>__{name}".upper()
    row = next(line for line in MANUAL.splitlines() if line.startswith(f"| `{section}.<name>.{name}` |"))
    assert row.endswith(f"| `{default}` | {told} | `{variable}` |")
