"""The operator's home, reached by one HTTP call per command."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from app.errors import BackendRejected, BackendTimeout, BackendUnavailable

_MAX_ANSWER_BYTES = 64 * 1024
_MAX_REPLY_CHARS = 500


class HomeWebhook:
    """Posts a command as JSON and returns what the home says to it."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def post(self, command: Mapping[str, object]) -> str:
        """Return the `reply` of the JSON answer, empty when the home answers without words.

        Raises BackendTimeout, BackendUnavailable (no connection, 5xx) or BackendRejected (4xx, no JSON object).
        """
        import requests

        deadline_s = time.monotonic() + self._timeout_s
        try:
            with requests.post(
                self._url, json=command, timeout=self._timeout_s, stream=True, allow_redirects=False
            ) as answer:
                body = b""
                for chunk in answer.iter_content(4096):
                    body += chunk
                    if time.monotonic() > deadline_s:
                        raise BackendTimeout(f"home.webhook_url: no whole answer in {self._timeout_s} s")
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise BackendRejected(f"home.webhook_url: the answer is over {_MAX_ANSWER_BYTES} bytes")
        except requests.Timeout:
            raise BackendTimeout(f"home.webhook_url: no answer in {self._timeout_s} s") from None
        except requests.RequestException as error:
            raise BackendUnavailable(f"home.webhook_url: cannot be reached ({type(error).__name__})") from None
        if answer.status_code >= 500:
            raise BackendUnavailable(f"home.webhook_url: answered {answer.status_code}")
        if answer.status_code >= 300:
            raise BackendRejected(f"home.webhook_url: answered {answer.status_code}")
        return _read_reply(body)


def _read_reply(body: bytes) -> str:
    if not body.strip():
        return ""
    try:
        reply = json.loads(body).get("reply") or ""
    except (ValueError, AttributeError):
        raise BackendRejected("home.webhook_url: the answer is no JSON object") from None
    if not isinstance(reply, str):
        raise BackendRejected("home.webhook_url: `reply` in the answer is no text")
    return " ".join(reply.split())[:_MAX_REPLY_CHARS]
