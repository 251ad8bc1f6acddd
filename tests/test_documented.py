"""What the pages for readers say is there, and what is there is said."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import app.errors
from app import create_app
from app.audio.pcm import SPEECH_RATE_HZ, tone
from app.backends import backend_config
from app.config import Config, load_config
from app.conversation.events import Event, Fact
from app.errors import VoiceError
from app.messages import ChatMessage, Header, Prompt
from app.metrics import Metrics
from app.service import REGISTRIES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "bench/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "clients").rglob("*.md")),
]
HTTP_API = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
WEBSOCKET = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
SHOWN_IN = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/backends.md")}
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "app").rglob("*.py"))}

Shown = tuple[str, str, str, str, str]
"""Stage, name, module, class and text of a backend."""


def sources(*folders: str) -> str:
    """Return the text of the modules in these folders of app/."""
    return "\n".join(text for path, text in SOURCES.items() if path.relative_to(ROOT / "app").parts[0] in folders)


def found(pattern: str, text: str) -> set[str]:
    """Return what any group of the pattern matches."""
    return {group for match in re.finditer(pattern, text) for group in match.groups() if group}


def all_below(cls: type) -> list[type]:
    """Return a class and all that derive from it."""
    children: list[type] = cls.__subclasses__()
    return [cls, *(each for child in children for each in all_below(child))]


def shown_backends() -> Iterator[Shown]:
    """Yield every backend whose file and registration a page shows."""
    for page in SHOWN_IN.values():
        registered = {m[2]: m for m in re.finditer(r'"(\w+)": "(app\.\w+\.\w+):(\w+)"', page)}
        for match in re.finditer(r"`app/(\w+)/(\w+)\.py`(?:(?!```).)*```python\n(.*?)```", page, re.DOTALL):
            stage, module = match[1], f"app.{match[1]}.{match[2]}"
            yield stage, registered[module][1], module, registered[module][3], match[3]


# ---- the HTTP API ----------------------------------------------------------------------------------------------------


def test_every_route_is_described() -> None:
    """Each path stands on the page with each of its methods."""
    routes = [
        f"`{method} {re.sub(r'<[a-z]+:', '<', rule.rule)}`"
        for rule in create_app(Config()).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    assert [route for route in routes if route not in HTTP_API] == []


def test_every_parameter_is_described() -> None:
    """Each parameter that a route reads stands on the page."""
    text = sources("dialects", "web")
    names = found(
        r'(?:number|flag)\("(\w+)"|request\.args(?:\.get\(|\[)"(\w+)"|"(\w+)" (?:not )?in request\.args', text
    )
    assert {"timeout", "rate", "turn", "session", "token"} <= names
    assert [name for name in sorted(names) if not re.search(rf"[`?]{name}\b", HTTP_API)] == []


def test_every_header_of_ours_is_described() -> None:
    """Each header that we made up stands on the page."""
    headers = found(r'"(X-[\w-]+)"', sources("dialects", "web"))
    assert "X-Turn-Error" in headers
    assert [header for header in sorted(headers) if not re.search(f"`{header}[`:]", HTTP_API)] == []


def test_every_error_code_is_described() -> None:
    """Each code that a caller or an operator may meet stands on the page of the way by which it reaches them."""
    of_classes = {cls.code for cls in all_below(VoiceError) if cls.__module__ == app.errors.__name__}  # type: ignore[attr-defined]
    elsewhere = found(
        r'code="([\w-]+)"|TurnFailed\("([\w-]+)"|_fail\(turn, "([\w-]+)"|"code": "([\w-]+)"',
        "\n".join(SOURCES.values()),
    )
    elsewhere |= found(r'_skip\(segment, "([\w-]+)"|StageFailed\([^)]*?"(stage-[\w-]+)"', "\n".join(SOURCES.values()))
    assert {"starting", "upload-broken", "turn-stalled", "nothing-yet", "stage-crashed"} <= elsewhere
    # A worker that cannot load says this to the hub alone; the reason is shown in /health.
    codes = (of_classes | elsewhere) - {"stage-failed"}
    assert [code for code in sorted(codes) if f"`{code}`" not in HTTP_API + WEBSOCKET] == []


def test_every_reason_to_cancel_is_described() -> None:
    """Each reason of a cancelled turn stands on the page."""
    reasons = found(r'(?:interrupt|abandon|cancel|forget)\((?:\w+, )?"([\w-]+)"', sources("dialects", "conversation"))
    assert {"interrupted", "hung-up"} <= reasons
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in HTTP_API] == []


@pytest.mark.parametrize("fact", [fact for fact in all_below(Fact) if fact is not Fact])
def test_every_event_is_described(fact: type[Fact]) -> None:
    """Each event has a row with its name and its fields."""
    name = Event(1, 0.0, "", "", object.__new__(fact)).name
    columns = next((line.split("|") for line in HTTP_API.splitlines() if line.startswith(f"| `{name}` |")), [])
    assert columns
    assert re.findall(r"`(\w+)`", columns[2]) == [field.name for field in fields(fact)]


def test_every_mark_of_a_turn_is_described() -> None:
    """Each moment of the waterfall has a row."""
    marks = found(
        r'marks(?:\.setdefault\(|\[)"(\w+)"|Mark\([^)]*?"(\w+)"|marks: [^=]*= \{"(\w+)"', "\n".join(SOURCES.values())
    )
    assert {"received", "first_token", "first_fetch", "ended"} <= marks
    assert [mark for mark in sorted(marks) if f"\n| `{mark}` |" not in HTTP_API] == []


def test_every_metric_is_described() -> None:
    """Each figure has a row, under the name by which Prometheus asks."""
    families = list(Metrics().registry.collect())
    names = [family.name + ("_total" if family.type == "counter" else "") for family in families]
    assert names
    assert [name for name in names if f"\n| `{name}` |" not in HTTP_API] == []


# ---- links and examples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each relative link names a file of the project, and a heading in it where it names one."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (heading and heading not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the names that headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def known_backends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make the backends that pages show known under the names that they give them."""
    for stage, name, module_name, class_name, text in shown_backends():
        path = tmp_path / f"{module_name}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module_name, module)
        spec.loader.exec_module(module)
        monkeypatch.setitem(REGISTRIES[stage], name, f"{module_name}:{class_name}")


@pytest.mark.usefixtures("known_backends")
@pytest.mark.parametrize("page", SHOWN_IN)
def test_every_shown_configuration_works(page: str, tmp_path: Path) -> None:
    """Each configuration is accepted, down to the settings of its backends."""
    trees = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", SHOWN_IN[page], re.DOTALL)]
    assert trees
    for tree in trees:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(tree), encoding="utf-8")
        config = load_config(str(path), {})
        for stage, registry in REGISTRIES.items():
            for name in config.stage(stage).backends:
                backend_config(registry, config, stage, name)


def test_each_stage_has_an_example() -> None:
    """The pages show a backend for every stage, none of which is there already."""
    shown = list(shown_backends())
    assert {stage for stage, *_ in shown} == set(REGISTRIES)
    assert [name for stage, name, *_ in shown if name in REGISTRIES[stage]] == []


@pytest.mark.usefixtures("known_backends")
@pytest.mark.parametrize(("stage", "name"), [shown[:2] for shown in shown_backends()])
def test_a_shown_backend_does_its_work(stage: str, name: str) -> None:
    """A backend is found by its name, loads, and keeps the contract of its verb."""
    backend_class, config = backend_config(REGISTRIES[stage], Config(), stage, name)
    backend = backend_class(config)
    backend.load()
    VERBS[stage](backend)
    backend.close()


def check_stt(backend: Any) -> None:
    """A sound gives words, and silence gives none; the last hypothesis alone is final."""
    for pcm16, is_heard in ((tone(300.0, 0.8), True), (bytes(SPEECH_RATE_HZ), False)):
        hypotheses = list(backend.transcribe(iter([pcm16[:1000], pcm16[1000:]])))
        assert [hypothesis.is_final for hypothesis in hypotheses] == [False] * (len(hypotheses) - 1) + [True]
        assert bool(hypotheses[-1].text) == is_heard


def check_llm(backend: Any) -> None:
    """A question is answered in words."""
    parts = list(backend.reply(Prompt(Header("desk", "1"), (ChatMessage("user", "roll the dice"),))))
    assert parts
    assert all(isinstance(part, str) for part in parts)


def check_tts(backend: Any) -> None:
    """A text gives whole samples of one rate."""
    pieces = list(backend.synthesize("Dinner is ready."))
    assert len({piece.sample_rate for piece in pieces}) == 1
    assert all(piece.pcm16 and len(piece.pcm16) % 2 == 0 for piece in pieces)


def check_analysis(backend: Any) -> None:
    """A sound has scores, and silence has those that can be told."""
    assert all(isinstance(score, float) for score in backend.analyse(tone(300.0, 0.8)).values())
    assert None in backend.analyse(bytes(SPEECH_RATE_HZ)).values()


VERBS = {"stt": check_stt, "llm": check_llm, "tts": check_tts, "analysis": check_analysis}
