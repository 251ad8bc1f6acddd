"""Types and fields on the WebSocket: wrong ones are refused, and the right ones are those of docs/websocket.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.live_contract import ContractChecker
from tests.live_messages import (
    CLIENT_MESSAGES,
    CLOSING_CODES,
    ERROR_CODES,
    LISTENING,
    OPTIONAL_FIELDS,
    SERVER_MESSAGES,
    SETTINGS,
    check_client_message,
)
from tests.live_scripts import GOOD, HELLO, LISTENING_DEFAULTS, WRONG

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "websocket.md").read_text(encoding="utf-8")

SAMPLES = {
    step["type"]: step for script in GOOD.values() for step in script if isinstance(step, dict) and step != WRONG
}


def refuse(message: Any, sentence: str) -> None:
    """Expect the checker to refuse a message behind `session`."""
    checker = ContractChecker()
    checker.received(HELLO)
    with pytest.raises(AssertionError, match=re.escape(sentence)):
        checker.received(message)


def test_there_is_a_sample_of_every_message() -> None:
    """The good scripts use all that a server may send."""
    assert set(SAMPLES) == set(SERVER_MESSAGES)


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind in SERVER_MESSAGES for field in SERVER_MESSAGES[kind]]
)
def test_a_field_is_wanted_and_has_its_type(kind: str, field: str) -> None:
    """A field that is missing, or holds a thing of no field's type, is refused."""
    rest = {name: value for name, value in SAMPLES[kind].items() if name != field}
    refuse({**rest, field: [{}]}, f"`{field}` may not be [{{}}]")
    if field not in OPTIONAL_FIELDS.get(kind, ()):
        refuse(rest, f"`{kind}`: `{field}` is missing")


@pytest.mark.parametrize("kind", SERVER_MESSAGES)
def test_more_fields_are_refused(kind: str) -> None:
    """A field that the page does not have is refused."""
    refuse({**SAMPLES[kind], "mood": "fine"}, f"`{kind}`: `mood` is no field of it")


@pytest.mark.parametrize("message", [{"type": "hello"}, {}, [], "pong"])
def test_other_messages_are_refused(message: Any) -> None:
    """What is no object or of no known type is refused."""
    with pytest.raises(AssertionError, match=r"is no message of the server|is a JSON object"):
        ContractChecker().received(message)


@pytest.mark.parametrize(
    "message",
    [
        *({"type": kind} for kind, fields in CLIENT_MESSAGES.items() if kind != "user_message"),
        {"type": "user_message", "data": {"text": "hi"}},
        {"type": "start_listening", "data": LISTENING_DEFAULTS},
        {"type": "model_settings", "data": {"voice": None, "temperature": 0.5}},
    ],
)
def test_what_a_client_may_send_passes(message: dict[str, Any]) -> None:
    """A client's message is known by its type and data."""
    check_client_message(message)


@pytest.mark.parametrize(
    "message",
    [
        *([], {"type": "hello"}, {"type": "ping", "text": "hi"}, {"type": "ping", "data": []}),
        *({"type": "ping", "data": {"a": 1}}, {"type": "user_message"}, {"type": "user_message", "data": {"text": ""}}),
        *({"type": "user_message", "data": {"text": 4_001 * "x"}}, {"type": "start_listening", "data": {"rate": 1}}),
        *({"type": "start_listening", "data": {"mode": "loud"}}, {"type": "model_settings", "data": {"mood": "fine"}}),
    ],
)
def test_what_a_client_may_not_send_is_refused(message: Any) -> None:
    """A client's wrong message is told apart."""
    with pytest.raises(AssertionError):
        check_client_message(message)


# ---- the page --------------------------------------------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading or a line that begins like this."""
    below = PAGE[PAGE.index(f"\n{heading}") :]
    table = below[below.index("\n|") :].lstrip("\n").split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def names(cell: str) -> list[str]:
    """Return the names of a cell, without what stands in brackets."""
    return re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", cell))


def test_the_server_sends_what_the_page_says() -> None:
    """The checker knows exactly the types and fields of the table."""
    table = {names(kind)[0]: names(fields) for kind, fields, _ in rows("## What the server sends")}
    assert table == {kind: list(fields) for kind, fields in SERVER_MESSAGES.items()}


def test_a_client_sends_what_the_page_says() -> None:
    """The checker knows exactly the types of the table, and which have data."""
    cells = [cell for cell, _ in rows("## What the client sends") if cell != "binary frame"]
    shown = [json.loads(cell.strip("`").replace("{…}", "{}")) for cell in cells]
    has_data = {message["type"]: "data" in message for message in shown}
    assert has_data == {kind: fields is not None for kind, fields in CLIENT_MESSAGES.items()}
    assert [list(m["data"]) for m in shown if m["type"] == "user_message"] == [
        list(CLIENT_MESSAGES["user_message"] or ())
    ]


def test_settings_are_those_of_the_page() -> None:
    """The settings of the microphone and of the model are those that the page lists."""
    assert [names(field)[0] for field, _ in rows("`start_listening` takes")] == list(LISTENING)
    line = next(line for line in PAGE.splitlines() if line.startswith("`model_settings` takes"))
    assert names(line.partition("any of")[2].partition(";")[0]) == list(SETTINGS)


def test_errors_are_those_of_the_page() -> None:
    """The checker knows exactly the codes of the table, and with which code which of them close."""
    table = rows("### Errors")
    assert {code for codes, *_ in table for code in re.findall(r"`([\w-]+)`", codes)} == ERROR_CODES
    closing = {re.findall(r"`([\w-]+)`", row[0])[0]: re.search(r"closed, code (\d+)", row[2]) for row in table}
    assert {code: int(match[1]) for code, match in closing.items() if match} == CLOSING_CODES


def test_outcomes_are_those_of_the_page() -> None:
    """The ends of a turn are those that the table lists."""
    cell = next(fields for kind, fields, _ in rows("## What the server sends") if kind == "`turn_complete`")
    is_outcome = SERVER_MESSAGES["turn_complete"]["outcome"]
    shown = re.findall(r"`(\w+)`", re.findall(r"\((.*?)\)", cell)[0])
    assert shown == ["done", "failed", "cancelled"]
    assert all(is_outcome(outcome) for outcome in shown)
