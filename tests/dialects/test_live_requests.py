"""What a live client sends is checked before anything happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import ListeningConfig
from app.dialects.live_requests import (
    PER_CONNECTION,
    TYPES,
    BadMessage,
    check_frame,
    own_settings,
    read_microphone,
    read_request,
    read_text,
)
from app.errors import BadAudio, BadSettings

DEFAULTS = ListeningConfig(silence_ms=700)


def test_a_message_is_read() -> None:
    """With its data, or without."""
    assert read_request('{"type": "ping"}').data == {}
    assert read_request('{"type": "user_message", "data": {"text": "hi"}, "extra": 1}').data == {"text": "hi"}
    assert read_request('{"type": "stop_listening", "data": null}').type == "stop_listening"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[1]", "object"),
        ("null", "object"),
        ('{"data": {}}', "type"),
        ('{"type": 7}', "type"),
        ('{"type": "start_listning"}', "did you mean 'start_listening'"),
        ('{"type": "ping", "data": [1]}', "data"),
    ],
)
def test_a_bad_message_is_refused(text: str, says: str) -> None:
    """The error tells what was expected."""
    with pytest.raises(BadMessage, match=says):
        read_request(text)


@pytest.mark.parametrize("data", [{}, {"text": ""}, {"text": "  \n"}, {"text": 5}, {"text": "x" * 4001}])
def test_a_bad_text_is_refused(data: dict[str, object]) -> None:
    """Words must be there, and not be a book."""
    with pytest.raises(BadMessage, match="1 to 4000"):
        read_text(data)


def test_a_microphone_has_the_configured_rules() -> None:
    """Unless the connection says otherwise, and then only in what it says."""
    assert read_microphone({}, DEFAULTS).rules == DEFAULTS
    own = read_microphone({"rate": 48_000, "mode": "push_to_talk", "start_ms": 128}, DEFAULTS)
    assert (own.sample_rate, own.mode) == (48_000, "push_to_talk")
    assert own.rules == ListeningConfig(silence_ms=700, start_ms=128)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"rate": 4000}, "rate: is 4000; allowed is a whole number from 8000 to 48000"),
        ({"rate": "16000"}, "rate"),
        ({"rate": True}, "rate"),
        ({"mode": "shout"}, "hands_free or push_to_talk"),
        ({"silence_ms": 1}, "silence_ms: is 1"),
        ({"silence_ms": "long"}, "silence_ms"),
        ({"silence": 500}, "did you mean 'silence_ms'"),
        ({"send_ahead_s": 5}, "send_ahead_s: no such setting"),
    ],
)
def test_a_bad_microphone_is_refused(data: dict[str, object], says: str) -> None:
    """The error names the setting and what is allowed."""
    with pytest.raises(BadSettings, match=says):
        read_microphone(data, DEFAULTS)


def test_the_client_is_told_what_it_may_set() -> None:
    """All of it, with the defaults; and what it is told it may send back."""
    told = own_settings(DEFAULTS)
    assert set(told) == {"rate", "mode", *PER_CONNECTION}
    assert read_microphone(told, DEFAULTS).rules == DEFAULTS


@pytest.mark.parametrize(("n_bytes", "rate"), [(320, 16_000), (16_000, 16_000), (48_000, 48_000), (160, 8_000)])
def test_frames_of_10_to_500_ms_are_heard(n_bytes: int, rate: int) -> None:
    """At the rate of the microphone."""
    check_frame(bytes(n_bytes), rate)


@pytest.mark.parametrize(
    ("n_bytes", "says"), [(321, "two bytes"), (318, "10 to 500 ms"), (16_002, "500 ms"), (0, "ms")]
)
def test_other_frames_are_refused(n_bytes: int, says: str) -> None:
    """Shorter ones cost too much, longer ones come too late, and odd ones are no PCM16."""
    with pytest.raises(BadAudio, match=says):
        check_frame(bytes(n_bytes), 16_000)


def test_the_page_lists_every_message() -> None:
    """What a client may send stands in docs/websocket.md."""
    page = Path(__file__).resolve().parents[2].joinpath("docs", "websocket.md").read_text(encoding="utf-8")
    for name in TYPES:
        assert f'"type": "{name}"' in page
    for name in PER_CONNECTION:
        assert f"| `{name}` |" in page
