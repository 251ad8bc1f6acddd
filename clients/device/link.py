"""HTTP requests to the service, and what became of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from clients.device.settings import Settings
from clients.service import DISTRUSTED, Lost, Trouble, is_distrusted

BUSY_CODES = (429, 502, 503, 504)
MAX_RETRY_AFTER_S = 60.0


class Unanswered(Lost):
    """Nobody answers at that address, or too late."""


class Busy(Lost):
    """The service wants to be asked later."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(Trouble):
    """The service does not want this request, however often it is asked."""


class Link:
    """Requests of one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = requests.Session()

    def configure(self, settings: Settings) -> None:
        """Take another address or token from the next request on."""
        self._settings = settings

    def ask(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        timeout_s: float = 30.0,
        to: str = "",
        **options: Any,
    ) -> requests.Response:
        """Return a good answer, or a 404 that says that something is not there yet or any more.

        to: another address than the service's, without its session and token.
        Raises Lost when the service cannot be reached or breaks off, Busy, and Refused with what to do.
        """
        server = self._settings.server
        named = {"session": self._settings.session} if self._settings.session else {}
        try:
            is_ours = _origin(to or server.url) == _origin(server.url)
            response = self._http.request(
                method,
                to or server.url.rstrip("/") + path,
                params={**({} if to else named), **(params or {})},
                timeout=(server.connect_timeout_s, timeout_s),
                auth=_Bearer(server.token if is_ours else ""),
                **options,
            )
            return response if response.ok else self._judge(response, to)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            asked = shown(to or server.url)
            if is_distrusted(error):
                raise Lost(f"{asked} {DISTRUSTED} REQUESTS_CA_BUNDLE=cert.pem") from None
            raise Unanswered(f"{asked} does not answer ({_reason(error)})") from None
        except (requests.RequestException, ValueError) as error:
            remedy = "heartbeat.url" if to else "server.url or --url"
            raise Refused(f"{shown(to or server.url)} cannot be asked: {error}; correct {remedy}") from None

    def stranger(self, response: requests.Response) -> Refused:
        """Return what to say of an answer that an Earshot service does not give."""
        what = f"{response.status_code} {response.reason}"
        return Refused(f"{self._settings.server.url} is no Earshot service ({what}): correct server.url or --url")

    def _judge(self, response: requests.Response, to: str) -> requests.Response:
        code, message = read_error(response)
        url = self._settings.server.url
        if code in ("nothing-yet", "unknown-segment", "unknown-turn", "unknown-session"):
            return response
        if response.status_code in BUSY_CODES:
            raise Busy(message, retry_after_s(response))
        if to and response.status_code < 500:
            raise Refused(f"{shown(to)} refuses it ({message})")
        if response.status_code in (401, 403):
            raise Refused(f"{message}; give the token with --token, or as server.token in the settings")
        if code == "" and response.status_code < 500:
            raise self.stranger(response)
        if code in ("not-found", "method-not-allowed"):
            raise Refused(f"{url} does not know {response.request.method} {path_of(response)}: it is an older Earshot")
        if response.status_code >= 500:
            raise Busy(message, 1.0)
        raise Refused(f"refused with {response.status_code} {code}: {message}")


class _Bearer:
    """Signs a request, or leaves it as it is; not as a plain header, which a .netrc file would replace."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return to whom an address belongs; capital letters mean nothing in it."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def shown(url: str) -> str:
    """Return an address without its query, which may hold a secret."""
    return url.partition("?")[0]


def path_of(response: requests.Response) -> str:
    """Return the path that was asked for, without its query, which may hold a token."""
    return response.request.path_url.partition("?")[0]


def read_error(response: requests.Response) -> tuple[str, str]:
    """Return the code and message of an answer; the code is empty when it is not from Earshot."""
    try:
        error = response.json()["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "", f"{response.status_code} {response.reason}"


def retry_after_s(response: requests.Response) -> float:
    """Return how long to wait, within reason; a second where the answer does not say."""
    try:
        return min(MAX_RETRY_AFTER_S, max(0.1, float(response.headers["Retry-After"])))
    except (KeyError, ValueError):
        return 1.0


def _reason(error: Exception) -> str:
    return "too slow" if isinstance(error, requests.Timeout) else type(error).__name__
