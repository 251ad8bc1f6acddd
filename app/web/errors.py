"""Every error as JSON: {"error": {"code", "message"}}."""

from __future__ import annotations

import logging
import math

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from app.errors import AudioTooLarge, VoiceError

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Answer errors of every kind."""
    app.register_error_handler(VoiceError, answer)
    app.register_error_handler(RequestEntityTooLarge, _answer_too_large)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_fault)


def answer(error: VoiceError) -> Response:
    """Return the answer that tells an error of ours."""
    response = _json(error.status, error.code, error.message)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return response


def _answer_too_large(error: RequestEntityTooLarge) -> Response:
    return answer(
        AudioTooLarge("the body is larger than server.max_body_mb allows; send a shorter or compressed recording")
    )


def _answer_http(error: HTTPException) -> Response:
    code = error.name.lower().replace(" ", "-")
    response = _json(error.code or 500, code, error.description or error.name)
    # What Werkzeug adds, such as Allow, matters to clients; its own content headers do not fit the JSON.
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _answer_fault(error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return _json(500, "internal", "the service has a fault; its log tells more")


def _json(status: int, code: str, message: str) -> Response:
    response = jsonify({"error": {"code": code, "message": message}})
    response.status_code = status
    return response
