"""Heartbeats of devices, and the list of the devices that send them.

The body of POST /heartbeat is that of Hey ORAC, so that its devices can be pointed here; ours add what they know.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.exceptions import ClientDisconnected

from app.devices import ONLINE_S, Device, Heartbeat
from app.errors import BadRequest
from app.service import current_service
from app.web.access import session_name

blueprint = Blueprint("heartbeats", __name__)
MAX_BODY_BYTES = 65_536
MAX_MODELS = 64
MAX_TEXT_CHARS = 128
_MAX_COUNT = 2**53
"""Above this, readers of JSON lose digits."""


@blueprint.post("/heartbeat")
def beat() -> Response:
    """Keep what a device says of itself."""
    body = _read_body()
    heartbeat = parse_heartbeat(body)
    current_service().devices.see(g.caller.name, session_name(_text(body, "session") or ""), heartbeat)
    n_topics = len(body["models"])
    return jsonify({"status": "ok", "message": "the heartbeat was taken", "topics_processed": n_topics})


@blueprint.get("/heartbeat")
def beat_without_words() -> Response:
    """Note that a device is alive which says nothing more of itself; its session is its name."""
    session = session_name()
    current_service().devices.touch(g.caller.name, session, session)
    return jsonify({"status": "ok"})


@blueprint.get("/devices")
def devices() -> Response:
    """List the devices of the caller, those of all callers for an administrator; the one heard of last comes first."""
    found = current_service().devices.of(None if g.caller.is_admin else g.caller.name)
    now_s = time.time()
    return jsonify([_describe(device, silent_s, now_s) for device, silent_s in found])


def parse_heartbeat(body: dict[str, Any]) -> Heartbeat:
    """Return what a heartbeat's JSON says; raises BadRequest when something is missing.

    Keys that are not known are ignored, and so are values of the wrong type in those that are not required.
    """
    for key in ("instance_id", "source"):
        if not _text(body, key):
            raise BadRequest(f"{key}: is {_shown(body, key)}; it must be a text of 1 to {MAX_TEXT_CHARS} characters")
    # Not used, because clocks of devices are often wrong; but whoever sends none does not mean this call.
    if not isinstance(body.get("timestamp"), (str, int, float)):
        raise BadRequest(f"timestamp: is {_shown(body, 'timestamp')}; it must be a time, such as 2026-01-31T12:00:00Z")
    return Heartbeat(
        instance_id=body["instance_id"],
        source=body["source"],
        state=_text(body, "state"),
        wake_counts={**_counts_of_models(body), **_counts(body.get("wake_counts"))},
        level_dbfs=_number(body.get("level_dbfs")),
        overflows=_count(body.get("overflows")),
        client_version=_text(body, "client_version"),
        uptime_s=_number(body.get("uptime_s")),
    )


def _read_body() -> dict[str, Any]:
    try:
        text = request.stream.read(MAX_BODY_BYTES + 1)
    except (ClientDisconnected, OSError):
        raise BadRequest("the connection broke before the body was complete; send it again") from None
    if len(text) > MAX_BODY_BYTES:
        raise BadRequest(f"the heartbeat is longer than {MAX_BODY_BYTES} bytes; send less")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON; send a heartbeat as docs/http-api.md shows it") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object; send a heartbeat as docs/http-api.md shows it")
    return body


def _counts_of_models(body: dict[str, Any]) -> dict[str, int]:
    models = body.get("models")
    if not isinstance(models, list) or len(models) > MAX_MODELS:
        raise BadRequest(f"models: must be a list of up to {MAX_MODELS} wake models; it may be empty")
    counts = {}
    for index, model in enumerate(models):
        for key in ("topic", "wake_word", "status"):
            if not isinstance(model, dict) or not _text(model, key):
                raise BadRequest(f"models[{index}].{key}: is missing; each model has topic, wake_word and status")
        counts[_text(model, "name") or model["wake_word"]] = _count(model.get("trigger_count")) or 0
    return counts


def _counts(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    named = {name: _count(number) for name, number in list(value.items())[:MAX_MODELS] if len(name) <= MAX_TEXT_CHARS}
    return {name: count for name, count in named.items() if count is not None}


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    # Half a surrogate pair is fine JSON, but no text that can be sent on.
    is_text = isinstance(value, str) and len(value) <= MAX_TEXT_CHARS and value.isprintable()
    return value if is_text else None


def _number(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= _MAX_COUNT else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None or number < 0 else math.floor(number)


def _shown(body: dict[str, Any], key: str) -> str:
    return ascii(body[key])[:40] if key in body else "missing"


def _describe(device: Device, silent_s: float, now_s: float) -> dict[str, object]:
    beat = device.beat
    return {
        "instance_id": beat.instance_id,
        "source": beat.source,
        "caller": device.caller,
        "session": device.session,
        "online": silent_s <= ONLINE_S,
        "last_seen_at_s": round(now_s - silent_s, 3),
        "last_seen_ago_s": round(silent_s, 3),
        "state": beat.state,
        "wake_counts": beat.wake_counts,
        "level_dbfs": beat.level_dbfs,
        "overflows": beat.overflows,
        "client_version": beat.client_version,
        "uptime_s": beat.uptime_s,
    }
