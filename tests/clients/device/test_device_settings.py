"""The settings of a device: what is taken, what is told, how they are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clients.device.__main__ import main
from clients.device.schema import as_tree, build, json_schema
from clients.device.settings import Settings, WakeModel
from clients.device.settings_file import SettingsFile, write_settings
from clients.service import Trouble
from tests.serving import ROOT

WRONG: dict[str, tuple[str, list[str]]] = {
    "a misspelt name": ('{"microphone": {"devise": "usb"}}', ["microphone.devise", "did you mean device?"]),
    "a misspelt section": ('{"micorphone": {}}', ["micorphone", "did you mean microphone?"]),
    "a number out of range": ('{"recording": {"threshold": 2}}', ["recording.threshold", "is 2", "0.05 to 0.95"]),
    "a truth for a number": ('{"recording": {"silence_ms": true}}', ["recording.silence_ms", "a number"]),
    "a fraction of a channel": ('{"microphone": {"channels": 1.5}}', ["microphone.channels", "a whole number"]),
    "a choice that is none": ('{"mode": "wakeup"}', ["mode", "wake, push_to_talk, hands_free", "did you mean wake?"]),
    "a text for a list": ('{"wake": {"models": "alexa"}}', ["wake.models", "a list"]),
    "deep in a list": ('{"wake": {"models": [{}, {"threshold": -1}]}}', ["wake.models[1].threshold", "0 to 1"]),
    "a number for a text": ('{"server": {"url": 5000}}', ["server.url", "is 5000", "a text"]),
    "a text for a truth": ('{"wake": {"multi_trigger": "yes"}}', ["wake.multi_trigger", "true or false"]),
    "a list for everything": ("[]", ["must hold an object"]),
    "half a file": ('{"server": {"url": ', ["is not JSON"]),
    "a number without end": (f'{{"server": {{"keep_s": 1{"0" * 400}}}}}', ["server.keep_s", "0 to 3600"]),
    "an infinite number": ('{"server": {"keep_s": Infinity}}', ["server.keep_s", "0 to 3600"]),
}


def load(path: Path | None = None, environ: dict[str, str] | None = None, **overrides: Any) -> Settings:
    return SettingsFile(path, environ or {}, overrides).load()


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named(name: str, tmp_path: Path) -> None:
    """The message names the setting, its value and what is allowed."""
    text, told = WRONG[name]
    path = tmp_path / "device.json"
    path.write_text(text)
    with pytest.raises(Trouble) as caught:
        load(path)
    assert caught.value.status == 2
    assert [part for part in told if part not in str(caught.value)] == []


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path: Path) -> None:
    """Neither a missing file nor bytes that are no text are a fault of the program."""
    with pytest.raises(Trouble, match="cannot be read"):
        load(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Trouble, match="not UTF-8"):
        load(tmp_path / "bytes.json")


def test_each_source_wins_over_those_before(tmp_path: Path) -> None:
    """File, environment, command line, in that order; comments are nothing."""
    path = tmp_path / "device.json"
    path.write_text('{"//": "mine", "server": {"url": "http://file", "token": "file", "session": "file"}}')
    environ = {"EARSHOT_DEVICE__SERVER__TOKEN": "1234", "EARSHOT_DEVICE__SERVER__SESSION": "env", "OTHER__X": "y"}
    settings = SettingsFile(path, environ, {"server.session": "line"}).load()
    assert (settings.server.url, settings.server.token, settings.server.session) == ("http://file", "1234", "line")


def test_the_environment_reaches_everything(tmp_path: Path) -> None:
    """Numbers, truths, lists and the entries of lists can be set."""
    path = tmp_path / "device.json"
    path.write_text('{"wake": {"models": [{"name": "alexa"}]}}')
    environ = {
        "EARSHOT_DEVICE__WAKE__MODELS__0__THRESHOLD": "0.7",
        "EARSHOT_DEVICE__WAKE__MODELS__1__NAME": "hey_jarvis",
        "EARSHOT_DEVICE__WAKE__MULTI_TRIGGER": "true",
        "EARSHOT_DEVICE__RECORDING__SILENCE_MS": "400",
        "EARSHOT_DEVICE__MICROPHONE__DEVICE": "2",
    }
    settings = load(path, environ)
    assert [(model.name, model.threshold) for model in settings.wake.models] == [("alexa", 0.7), ("hey_jarvis", None)]
    assert (settings.wake.multi_trigger, settings.recording.silence_ms, settings.microphone.device) == (True, 400, "2")
    with pytest.raises(Trouble, match="EARSHOT_DEVICE__WAKE__MODELS__7__NAME"):
        load(path, {"EARSHOT_DEVICE__WAKE__MODELS__7__NAME": "x"})
    with pytest.raises(Trouble, match=re.escape('recording.silence_ms: is "soon"')):
        load(path, {"EARSHOT_DEVICE__RECORDING__SILENCE_MS": "soon"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A written file holds everything, can be read by nobody else, and leaves nothing beside it."""
    path = tmp_path / "device.json"
    settings = load(environ={"EARSHOT_DEVICE__SERVER__TOKEN": "secret"})
    write_settings(path, settings)
    assert load(path) == settings
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """What cannot be written whole is not written at all."""
    path = tmp_path / "device.json"
    path.write_text("{}")
    with pytest.raises(TypeError):
        write_settings(path, object())  # type: ignore[arg-type]
    assert path.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [path]


def test_a_change_is_seen_once(tmp_path: Path) -> None:
    """A file has changed when it was written since it was read; a missing one has not."""
    path = tmp_path / "device.json"
    path.write_text("{}")
    source = SettingsFile(path, {}, {})
    source.load()
    assert not source.changed()
    path.write_text('{"mode": "hands_free"}')
    assert source.changed()
    assert source.load().mode == "hands_free"
    assert not source.changed()
    path.unlink()
    assert not source.changed()


def test_secrets_are_not_shown() -> None:
    """Neither the token nor a webhook's address stands in what might be logged."""
    tree = {"server": {"token": "tok-1"}, "wake": {"models": [{"name": "a", "webhook_url": "http://key@x"}]}}
    shown = repr(build(Settings, tree))
    assert "tok-1" not in shown
    assert "key@x" not in shown


def test_the_session_is_the_tokens_or_the_machines() -> None:
    """Where nothing is named, a token names the session, else the machine does."""
    assert load().session == load().host
    assert load(environ={"EARSHOT_DEVICE__SERVER__TOKEN": "t"}).session == ""
    assert load(environ={"EARSHOT_DEVICE__SERVER__SESSION": "desk"}).session == "desk"


def leaves(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    found = {}
    for name, each in schema["properties"].items():
        if "properties" in each:
            found |= leaves(each, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = each
    return found


def test_the_schema_describes_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """--print-schema has a meaning for each setting, its range and its default."""
    assert main(["--print-schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == json_schema(Settings)
    every = leaves(schema)
    assert [name for name, each in every.items() if not each.get("description")] == []
    assert every["recording.threshold"]["minimum"] == 0.05
    assert every["recording.threshold"]["default"] == 0.5
    assert every["wake.models"]["default"] == as_tree(Settings().wake.models)


def test_every_setting_is_on_the_page() -> None:
    """docs/device.md has a row for each setting, with its default."""
    page = (ROOT / "docs" / "device.md").read_text(encoding="utf-8")
    names = [*leaves(json_schema(Settings)), *leaves(json_schema(WakeModel))]
    missing = [name for name in names if f"| `{name}` |" not in page]
    assert missing == []


def test_the_example_of_the_page_works() -> None:
    """The settings that docs/device.md shows are accepted."""
    page = (ROOT / "docs" / "device.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        build(Settings, json.loads(block))
