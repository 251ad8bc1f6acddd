"""How the stand-in for OpenAI-compatible servers can be scripted, and what each failure must become."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from app.backends import build_config
from app.errors import (
    BackendBusy,
    BackendError,
    BackendQuotaExhausted,
    BackendRejected,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnavailable,
)

HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

# Failures before the body: status, headers, error.  {key} is the Authorization that came, as some servers echo it.
STATUS_FAILURES: dict[str, tuple[int, dict[str, str], Any]] = {
    "400": (400, {}, {"error": {"message": "Invalid value", "type": "invalid_request_error", "code": None}}),
    "401": (401, {}, {"error": {"message": "Incorrect API key provided: {key}", "code": "invalid_api_key"}}),
    "402": (402, {}, {"error": {"code": 402, "message": "Insufficient credits"}}),
    "402-busy": (
        402,
        {"Retry-After": "2"},
        {"error": {"code": 402, "message": "Wait", "metadata": {"limit_source": "openrouter_in_flight_budget"}}},
    ),
    "403": (403, {}, {"error": {"message": "Country not supported", "code": "unsupported_country"}}),
    "403-moderation": (
        403,
        {},
        {"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"], "flagged_input": "..."}}},
    ),
    "404": (404, {}, {"error": {"message": "model 'x' not found, try pulling it first", "type": "not_found_error"}}),
    "408": (408, {}, {"error": {"code": 408, "message": "Timed out"}}),
    "413": (413, {}, {"detail": "File too large"}),
    "422": (422, {}, {"detail": [{"loc": ["body", "input"], "msg": "Field required", "input": "a private sentence"}]}),
    "429": (429, {"Retry-After": "1"}, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}),
    "429-date": (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"error": {"message": "Slow down"}}),
    "429-quota": (429, {}, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
    "500": (500, {}, {"error": {"message": "The server had an error", "type": "server_error"}}),
    "502-html": (502, {}, HTML),
    "503": (503, {"Retry-After": "3"}, {"error": {"message": "Overloaded"}}),
    "json-instead": (200, {}, {"error": {"message": "Voice not found", "type": "invalid_request_error"}}),
    "html-instead": (200, {}, HTML),
}
BODY_FAILURES = ("stall", "stall-after", "reset-after", "eof-after", "error-event", "error-402-event", "garbage-event")


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered."""

    failure: str = "ok"
    "`ok`, a key of STATUS_FAILURES or one of BODY_FAILURES."
    n_items: int = 2
    "How many events or chunks are sent before a failure of the body."
    text: str = ""
    "The reply, or the transcript; empty for the stand-in's own."
    deltas: tuple[Mapping[str, Any], ...] = ()
    "Deltas of the chat as they stand in the events, instead of `text`."
    finish_reason: str | None = "stop"
    answer: Mapping[str, Any] | str | None = None
    "The whole body instead of the usual: JSON, or events as text."
    sound: bytes | None = None
    "The whole speech instead of the usual sine."
    content_type: str = ""
    "Of the answer, instead of the true one."
    shape: str = "openai"
    "Of streamed speech: `openai` or `sglang`."


STATUS_ERRORS: dict[str, type[BackendError]] = {
    "400": BackendRejected,
    "401": BackendUnauthorized,
    "402": BackendQuotaExhausted,
    "402-busy": BackendBusy,
    "403": BackendUnauthorized,
    "403-moderation": BackendRejected,
    "404": BackendRejected,
    "408": BackendUnavailable,
    "413": BackendRejected,
    "422": BackendRejected,
    "429": BackendBusy,
    "429-date": BackendBusy,
    "429-quota": BackendQuotaExhausted,
    "500": BackendUnavailable,
    "502-html": BackendUnavailable,
    "503": BackendUnavailable,
    "json-instead": BackendUnavailable,
    "html-instead": BackendUnavailable,
    "stall": BackendTimeout,
}
"""What every backend makes of a failure before the body."""

STREAM_ERRORS: dict[str, type[BackendError]] = {
    "stall-after": BackendTimeout,
    "reset-after": BackendUnavailable,
    "eof-after": BackendUnavailable,
    "error-event": BackendUnavailable,
    "error-402-event": BackendQuotaExhausted,
    "garbage-event": BackendUnavailable,
}
"""What every backend makes of a failure in a body of server-sent events."""


@contextmanager
def loaded(backend_class: Any, base_url: str, **settings: Any) -> Iterator[Any]:
    """Give a loaded backend of a stand-in, and close it after the block."""
    backend = backend_class(build_config(backend_class.Config, {"base_url": base_url, **settings}, "openai"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", "/nonexistent")  # the usual certificates take 0.1 s to read, and serve no test
        backend.load()
    try:
        yield backend
    finally:
        backend.close()


def patience_s(failure: str) -> float:
    """Return a read timeout: short for a server that stalls, long for one that is only slow on a busy machine."""
    return 0.05 if failure.startswith("stall") else 10.0


def behaviour_of(given: Behaviour | str) -> Behaviour:
    """Return the Behaviour that a script means, which may give only the name of a failure."""
    behaviour = Behaviour(given) if isinstance(given, str) else given
    assert behaviour.failure in ("ok", *STATUS_FAILURES, *BODY_FAILURES), behaviour.failure
    return behaviour


def fail_with_status(failure: str, authorization: str) -> web.Response:
    """Return the answer for a key of STATUS_FAILURES."""
    status, headers, body = STATUS_FAILURES[failure]
    if isinstance(body, str):
        return web.Response(status=status, headers=headers, text=body, content_type="text/html")
    text = json.dumps(body).replace("{key}", authorization.removeprefix("Bearer "))
    return web.Response(status=status, headers=headers, text=text, content_type="application/json")
