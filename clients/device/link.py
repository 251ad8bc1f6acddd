"""HTTP requests to the service, and what became of them."""

from __future__ import annotations

from typing import Any

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
        self._http.auth = self._sign

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
            response = self._http.request(
                method,
                to or server.url.rstrip("/") + path,
                params={**({} if to else named), **(params or {})},
                timeout=(server.connect_timeout_s, timeout_s),
                **options,
            )
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            if is_distrusted(error):
                raise Lost(f"{server.url} {DISTRUSTED} REQUESTS_CA_BUNDLE=cert.pem") from None
            raise Unanswered(f"{server.url} does not answer ({_reason(error)})") from None
        except (requests.RequestException, UnicodeError) as error:
            raise Refused(f"{server.url} cannot be asked: {error}; correct server.url or --url") from None
        if response.ok:
            return response
        return self._judge(response)

    def _judge(self, response: requests.Response) -> requests.Response:
        code, message = read_error(response)
        url = self._settings.server.url
        if code in ("nothing-yet", "unknown-segment", "unknown-turn", "unknown-session"):
            return response
        if response.status_code in BUSY_CODES:
            raise Busy(message, _retry_after_s(response))
        if response.status_code in (401, 403):
            raise Refused(f"{message}; give the token with --token, or as server.token in the settings")
        if code == "" and response.status_code < 500:
            raise Refused(f"{url} is no Earshot service ({message}): correct server.url or --url")
        if code in ("not-found", "method-not-allowed"):
            raise Refused(f"{url} does not know {response.request.method} {path_of(response)}: it is an older Earshot")
        if response.status_code >= 500:
            raise Busy(message, 1.0)
        raise Refused(f"refused with {response.status_code} {code}: {message}")

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Not as a plain header, which a .netrc file would replace.
        server = self._settings.server
        if server.token and str(request.url).startswith(server.url.rstrip("/") + "/"):
            request.headers["Authorization"] = f"Bearer {server.token}"
        return request


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


def _retry_after_s(response: requests.Response) -> float:
    try:
        return min(MAX_RETRY_AFTER_S, max(0.1, float(response.headers["Retry-After"])))
    except (KeyError, ValueError):
        return 1.0


def _reason(error: Exception) -> str:
    return "too slow" if isinstance(error, requests.Timeout) else type(error).__name__
