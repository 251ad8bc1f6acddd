"""An Earshot service over HTTP: its calls, its replies sentence by sentence, its events."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import requests

TIMEOUTS_S = (5.0, 90.0)
"""For the connection, and for each piece of an answer; GET /audio waits 30 s at the service."""
BUSY_TRIES = 5
MAX_RETRY_AFTER_S = 30.0
LOST_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Before a sentence whose connection broke is asked for again."""
DISTRUSTED = (
    "has a certificate that nobody vouches for, or that is for another name: copy var/tls/cert.pem of the service to"
    " this machine, and set"
)
PAUSE_S = 0.5
"""Between an answer that says `nothing yet` and the next question: a service with many devices answers at once."""


class Trouble(Exception):
    """What went wrong and what to do; `status` is the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Lost(Trouble):
    """The service cannot be reached, or the connection broke."""


class Service:
    """The service's calls; what goes wrong is raised as Trouble, what is worth waiting for is told and waited for."""

    def __init__(self, url: str, token: str | None, session: str | None, tell: Callable[[str], object]) -> None:
        self.tell = tell
        self._url = url.rstrip("/")
        self._session = {"session": session} if session else {}
        self._token = token
        self._http = requests.Session()
        self._http.auth = self._sign

    def call(self, method: str, path: str, params: dict[str, str] | None = None, **options: Any) -> requests.Response:
        """Return a good answer, or a 404 about a turn; a busy service is asked again.

        Raises Lost, and Trouble with the service's own message and what to do.
        """
        for n_left in reversed(range(BUSY_TRIES)):
            response = self._send(method, path, {**self._session, **(params or {})}, options)
            code, message = _read_error(response)
            if response.status_code not in (429, 503) or n_left == 0:
                break
            wait_s = _retry_after_s(response)
            self.tell(f"{message}; trying again in {wait_s:g} s")
            time.sleep(wait_s)
        if response.ok or code in ("nothing-yet", "unknown-segment", "unknown-turn"):
            return response
        if response.status_code in (401, 403):
            raise Trouble(f"{message}; give it with --token or in EARSHOT_TOKEN", 2)
        if code in ("", "not-found", "method-not-allowed"):
            raise Trouble(f"{self._url} is no Earshot service ({message}): name yours with --url or in EARSHOT_URL", 2)
        raise Trouble(f"refused with {response.status_code} {code}: {message}")

    def look_at(self, turn: str) -> dict[str, Any]:
        """Return what has become of a turn."""
        response = self.call("GET", f"/turns/{turn}")
        if not response.ok:
            raise Trouble(f"the service does not know turn {turn} any more: was it restarted?")
        return dict(response.json())

    def interrupt(self) -> None:
        """Cancel what is in progress; without a session there is nothing."""
        with contextlib.suppress(Trouble):
            self.call("POST", "/interrupt")

    def open_events(self) -> Iterator[dict[str, Any]]:
        """Return the session's events from now on."""
        response = self.call("GET", "/events", stream=True)
        # The log begins with older events, whose time is the service's.
        now_s = parsedate_to_datetime(response.headers["Date"]).timestamp()
        lines = received(response.iter_lines())
        events = (json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
        return (event for event in events if event["at_s"] >= now_s)

    def _send(self, method: str, path: str, params: dict[str, str], options: dict[str, Any]) -> requests.Response:
        try:
            response = self._http.request(method, self._url + path, params=params, timeout=TIMEOUTS_S, **options)
            # Older versions of urllib3 do not notice a body that was cut short.
            if "stream" not in options and len(response.content) < int(response.headers.get("Content-Length", 0)):
                raise requests.ConnectionError("the answer is incomplete")
            return response
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            if is_distrusted(error):
                raise Trouble(f"{self._url} {DISTRUSTED} REQUESTS_CA_BUNDLE=cert.pem", 2) from None
            raise Lost(
                f"{self._url} does not answer ({type(error).__name__}): start the service with scripts/run"
                " (scripts/run --lan when it is another machine), or name another with --url or in EARSHOT_URL",
                2,
            ) from None
        except (requests.RequestException, UnicodeError) as error:
            raise Trouble(f"{self._url} cannot be asked: {error}", 2) from None

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Not as a plain header, which a .netrc file would replace.
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def is_distrusted(error: Exception) -> bool:
    """Say whether a connection failed because nobody vouches for the service's certificate."""
    return isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def received(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what comes of a streamed answer; raises Lost when the connection breaks."""
    try:
        yield from pieces
    except requests.RequestException as error:
        raise Lost(f"the connection broke during the answer ({type(error).__name__})") from None


def _read_error(response: requests.Response) -> tuple[str, str]:
    """Return the code and message of an answer; the code is empty when it is not from Earshot."""
    if response.ok:
        return "", ""
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


class LiveBody:
    """A request's body that is sent while it comes, and kept in case a busy service wants it a second time."""

    def __init__(self, source: Iterator[bytes], at_end: Callable[[], object]) -> None:
        self._source = source
        self._at_end = at_end
        self._kept = [next(source, b"")]
        if not self._kept[0]:
            raise Trouble("no sound came from the microphone or the input; `arecord -l` lists microphones", 2)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._kept
        for chunk in self._source:
            self._kept.append(chunk)
            yield chunk
        self._at_end()


class Reply:
    """One turn's reply, sentence by sentence, also over a connection that breaks."""

    def __init__(self, service: Service, turn: str) -> None:
        self._service = service
        self._turn = turn
        self._due = (turn, 0)
        "Turn and index of the next sentence."
        self._rate: dict[str, str] = {}

    def sentences(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield number, text and WAV until the turn has ended; what was still in line comes before it."""
        while (response := self._wait()) is not None:
            turn = response.headers["X-Turn"]
            if response.status_code == 200:
                index = int(response.headers["X-Segment"])
                self._due = (turn, index + 1)
                # Sentences of one rate can be joined, whichever voice speaks them.
                self._rate = self._rate or {"rate": str(int.from_bytes(response.content[24:28], "little"))}
                yield index + 1, unquote(response.headers["X-Text"]), response.content
            elif turn == self._turn:
                return
            else:
                self._due = (self._turn, 0)

    def _wait(self) -> requests.Response | None:
        """Return the next sentence, or the end of a turn; None when the turn is over without anyone saying so."""
        while (response := self._ask()).status_code == 404:
            # The end may have been lost, or told to another device.
            turn = self._service.look_at(self._turn)
            if turn["state"] != "open" and all(s["delivered"] or s["skipped"] for s in turn["segments"]):
                return None
            time.sleep(PAUSE_S)
        return response

    def _ask(self) -> requests.Response:
        """Ask what is next; after a loss, ask for the sentence by its number: the service may think it delivered."""
        params = self._rate
        for wait_s in LOST_WAITS_S:
            try:
                return self._service.call("GET", "/audio", params)
            except Lost:
                self._service.tell(f"the connection was lost; asking again in {wait_s:g} s")
                time.sleep(wait_s)
                turn, index = self._due
                params = {**self._rate, "turn": turn, "segment": str(index)}
        return self._service.call("GET", "/audio", params)
