"""Query parameters, checked."""

from __future__ import annotations

from flask import request

from app.audio.codecs import FORMATS, MAX_PLAY_RATE_HZ, MIN_PLAY_RATE_HZ
from app.errors import BadRequest

MAX_TIMEOUT_S = 60.0
DEFAULT_TIMEOUT_S = 30.0


def number(name: str, default: float, low: float, high: float) -> float:
    """Return a query parameter as a number; raises BadRequest that says what is allowed."""
    text = request.args.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadRequest(f"{name}: is {text[:40]!r}; allowed is a number from {low:g} to {high:g}")
    return value


def flag(name: str) -> bool:
    """Return a query parameter as yes or no; `?name` alone is yes."""
    text = request.args.get(name)
    if text is None or text.lower() in ("0", "false", "no", "off"):
        return False
    if text.lower() in ("", "1", "true", "yes", "on"):
        return True
    raise BadRequest(f"{name}: is {text[:40]!r}; allowed is 1 or 0")


def upload_rate() -> int | None:
    """Return the rate that the caller gives for raw PCM16, in Hz."""
    if "rate" not in request.args:
        return None
    return int(number("rate", 0, 1_000, 384_000))


def reply_rate() -> int | None:
    """Return the rate that the device wants to hear, in Hz; None for the voice's own."""
    if "rate" not in request.args:
        return None
    return int(number("rate", 0, MIN_PLAY_RATE_HZ, MAX_PLAY_RATE_HZ))


def reply_format() -> str:
    """Return the format that the device wants to hear."""
    text = request.args.get("format", "wav").lower()
    if text not in FORMATS:
        raise BadRequest(f"format: is {text[:40]!r}; allowed is {', '.join(FORMATS)}")
    return text
