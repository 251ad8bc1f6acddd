"""The messages of the WebSocket, their fields and what a field may hold, as docs/websocket.md has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]
Fields = Mapping[str, Check]


def is_text(value: Any) -> bool:
    """A text, also an empty one."""
    return isinstance(value, str)


def is_id(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and value != ""


def is_flag(value: Any) -> bool:
    """A yes or a no."""
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    """A number, whole or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """A whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_names(value: Any) -> bool:
    """A list of texts that are not empty."""
    return isinstance(value, list) and all(is_id(name) for name in value)


def is_marks(value: Any) -> bool:
    """Names with numbers."""
    return isinstance(value, dict) and all(is_number(number) for number in value.values())


def is_scores(value: Any) -> bool:
    """Names with numbers, or null for what could not be told."""
    return isinstance(value, dict) and all(score is None or is_number(score) for score in value.values())


def or_null(check: Check) -> Check:
    """Return a check that also takes null."""
    return lambda value: value is None or check(value)


def one_of(*allowed: str) -> Check:
    """Return a check for one of these texts."""
    return lambda value: value in allowed


def between(low: float, high: float) -> Check:
    """Return a check for a number in this range."""
    return lambda value: is_number(value) and low <= value <= high


def has_fields(fields: Fields) -> Check:
    """Return a check for an object with exactly these fields."""
    return lambda value: isinstance(value, dict) and find_fault(value, fields, frozenset()) is None


SETTINGS: Fields = {
    "model": or_null(is_id),
    "temperature": or_null(is_number),
    "character": or_null(is_id),
    "voice": or_null(is_id),
}
LISTENING: Fields = {
    "rate": between(8_000, 48_000),
    "mode": one_of("hands_free", "push_to_talk"),
    "threshold": between(0.05, 0.95),
    "start_ms": is_number,
    "silence_ms": is_number,
    "adaptive_silence": is_flag,
    "max_utterance_s": is_number,
    "pre_roll_ms": is_number,
    "interrupt_thinking_ms": is_number,
    "interrupt_speaking_ms": is_number,
}

CLIENT_MESSAGES: Mapping[str, Fields | None] = {
    "user_message": {"text": lambda value: is_text(value) and 1 <= len(value) <= 4_000},
    "start_listening": LISTENING,
    "stop_listening": None,
    "model_settings": SETTINGS,
    "interrupt": None,
    "ping": None,
    "pong": None,
}
"""What stands in `data`; None where there is none."""
OPTIONAL_DATA = {"start_listening": frozenset(LISTENING), "model_settings": frozenset(SETTINGS)}

SERVER_MESSAGES: Mapping[str, Fields] = {
    "session": {
        "session_id": is_id,
        "sample_rate": lambda value: value == 24_000,
        "characters": is_names,
        "models": is_names,
        "voices": is_names,
        "settings": has_fields(SETTINGS),
        "listening": has_fields(LISTENING),
    },
    "settings": SETTINGS,
    "speech_started": {"turn_id": is_id},
    "stt_update": {"turn_id": is_id, "text": is_text},
    "speech_stopped": {"turn_id": is_id},
    "stt_finished": {"turn_id": is_id, "text": is_text},
    "text_stream_start": {"message_id": is_id, "turn_id": is_id, "character_name": is_text},
    "text_chunk": {"message_id": is_id, "sentence_index": is_count, "text": is_text},
    "text_stream_stop": {"message_id": is_id},
    "audio_stream_start": {"message_id": is_id, "turn_id": is_id, "character_name": is_text, "resumed": is_flag},
    "audio_chunk_meta": {"message_id": is_id, "sentence_index": is_count, "chunk_index": is_count},
    "audio_complete": {"session_id": is_id, "turn_id": is_id},
    "interrupted": {"turn_id": is_id, "reason": is_id},
    "analysis": {"turn_id": is_id, "analyser": is_id, "scores": is_scores},
    "turn_complete": {
        "turn_id": is_id,
        "outcome": one_of("done", "failed", "cancelled"),
        "reason": or_null(is_id),
        "heard": is_text,
        "spoken": is_text,
        "waterfall_ms": is_marks,
    },
    "error": {
        "code": lambda value: is_text(value) and value in ERROR_CODES,
        "message": is_id,
        "turn_id": is_id,
    },
    "ping": {},
    "pong": {},
}
OPTIONAL_FIELDS = {"error": frozenset({"turn_id"})}

CLOSING_CODES = {"replaced": 4001, "silent-client": 4000}
"""Errors behind which the connection is closed, and with which code."""
ERROR_CODES = {
    *("bad-message", "bad-settings", "bad-audio", "not-listening", "rate-limited"),
    *("overloaded", "starting", "stopping", *CLOSING_CODES),
}


def find_fault(message: Mapping[str, Any], fields: Fields, optional: frozenset[str]) -> str | None:
    """Return what is wrong with the fields of an object; None when nothing is."""
    for name in fields:
        if name not in message and name not in optional:
            return f"`{name}` is missing"
    for name, value in message.items():
        if name not in fields:
            return f"`{name}` is no field of it"
        if not fields[name](value):
            return f"`{name}` may not be {value!r}"
    return None


def check_server_message(message: Any) -> None:
    """Raise AssertionError unless this is a message that a server may send, by its type and fields."""
    assert isinstance(message, dict), "a message is a JSON object"
    kind = message.get("type")
    assert kind in SERVER_MESSAGES, f"`{kind}` is no message of the server"
    rest = {name: value for name, value in message.items() if name != "type"}
    fault = find_fault(rest, SERVER_MESSAGES[kind], OPTIONAL_FIELDS.get(kind, frozenset()))
    assert fault is None, f"`{kind}`: {fault}"


def check_client_message(message: Any) -> None:
    """Raise AssertionError unless this is a message that a client may send, by its type and `data`."""
    assert isinstance(message, dict), "a message is a JSON object"
    kind = message.get("type")
    assert kind in CLIENT_MESSAGES, f"`{kind}` is no message of a client"
    assert set(message) <= {"type", "data"}, f"`{kind}` has more than `type` and `data`"
    fields, data = CLIENT_MESSAGES[kind], message.get("data", {})
    assert isinstance(data, dict), f"`{kind}`: `data` is an object"
    fault = find_fault(data, fields or {}, OPTIONAL_DATA.get(kind, frozenset()))
    assert fault is None, f"`{kind}`: {fault}"
