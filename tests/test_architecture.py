"""The house stays in order: no import climbs a floor, no stage knows another, no worker loads the web."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import pytest

import app.conversation.events
import app.messages

ROOT = Path(__file__).resolve().parents[1]

FLOORS = (
    # Each may import what stands on the same line or below it.
    ("wsgi", "app.server"),
    ("app.__init__", "app.bridge"),
    ("app.dialects", "app.web"),
    ("app.service", "app.live_protocol"),
    ("app.conversation",),
    ("app.pipeline",),
    ("app.stt", "app.llm", "app.tts", "app.analysis"),
    ("app.stage",),
    ("app.fallback", "app.backends", "app.fake", "app.openai_api"),
    ("app.intents",),
    ("app.messages", "app.metrics", "app.devices"),
    ("app.audio", "app.config", "app.config_characters", "app.config_sections", "app.config_source"),
    ("app.legacy_config", "app.settings"),
    ("app.errors",),
)
STAGES = ("app.stt", "app.llm", "app.tts", "app.analysis")
HEAVY = {
    *("flask", "werkzeug", "uvicorn", "gunicorn", "prometheus_client", "av", "soxr", "openai", "httpx2", "requests"),
    *("hassil", "home_assistant_intents", "jinja2", "pocketsphinx", "espeakng_loader", "onnxruntime"),
}
"""What a stage worker does not load before its backend does."""


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the name and path of every module of the service."""
    yield "wsgi", ROOT / "wsgi.py"
    for path in sorted((ROOT / "app").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name if name == "app.__init__" else name.removesuffix(".__init__"), path


@cache
def imports_of(path: Path) -> set[str]:
    """Return what a module imports of this project, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("app", "clients", "wsgi")} - {"app"}


def floor_of(module: str) -> int:
    """Return the number of a module's floor from the top; its most specific entry counts."""
    found = [
        (len(entry), number)
        for number, entries in enumerate(FLOORS)
        for entry in entries
        if module == entry or module.startswith(f"{entry}.")
    ]
    if not found:
        return floor_of("app.__init__")
    return max(found)[1]


def test_every_module_has_a_floor() -> None:
    """A new module at the top of app/ is put on its floor on purpose."""
    for name, _ in modules():
        assert any(name == e or name.startswith(f"{e}.") for entries in FLOORS for e in entries), name


def test_no_import_climbs() -> None:
    """A module imports only what stands on its own floor or below."""
    for name, path in modules():
        for imported in imports_of(path):
            assert floor_of(imported) >= floor_of(name), f"{name} imports {imported}, which stands above it"


def test_stages_do_not_know_each_other() -> None:
    """The way from one stage to another goes through the hub."""
    for name, path in modules():
        own = next((stage for stage in STAGES if name.startswith(stage)), None)
        others = [stage for stage in STAGES if stage != own]
        if own:
            assert not [i for i in imports_of(path) if i.startswith(tuple(f"{o}." for o in others))], name


def test_clients_stand_alone() -> None:
    """A client can be copied to a device without the service."""
    for path in (ROOT / "clients").rglob("*.py"):
        assert not [name for name in imports_of(path) if name.startswith("app")], path


def test_workers_start_light() -> None:
    """A spawned worker loads no web framework and no engine before its backend does, whichever modules it imports."""
    of_stages = [name for name, _ in modules() if name.startswith(STAGES)]
    code = f"import sys, app.pipeline.worker, {', '.join(of_stages)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(of_stages) <= set(loaded.stdout.split())
    assert not HEAVY & set(loaded.stdout.split())


def kinds_of(module: object, base: type) -> list[type]:
    found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, base)]
    return [kind for kind in found if is_dataclass(kind)]


def sample(kind: type) -> object:
    """Return an instance with something in every field."""
    simple = {"Header": app.messages.Header("s", "t"), "bytes": b"\x01\x00", "bool": True, "int": 1, "float": 1.0}

    def value(wanted: str) -> object:
        return () if "tuple" in wanted else {} if "dict" in wanted else simple.get(wanted, "x")

    return kind(**{f.name: value(str(f.type)) for f in fields(kind)})


@pytest.mark.parametrize(
    "kind",
    [*kinds_of(app.messages, app.messages.Message), *kinds_of(app.conversation.events, app.conversation.events.Fact)],
)
def test_messages_and_facts_travel(kind: type) -> None:
    """Whatever crosses a process border pickles, is frozen and explains itself."""
    made = sample(kind)
    assert pickle.loads(pickle.dumps(made)) == made
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not (kind.__doc__ or "").startswith(f"{kind.__name__}("), "the docstring is the one dataclass makes"
