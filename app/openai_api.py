"""OpenAI-compatible servers: where they are, how their answers are read, what their errors mean."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.errors import (
    BackendBusy,
    BackendError,
    BackendQuotaExhausted,
    BackendRejected,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnavailable,
    ConfigError,
)

if TYPE_CHECKING:
    import httpx2
    import openai

ENDPOINTS = re.compile(r"/(chat/completions|completions|responses|embeddings|models|audio/(speech|transcriptions))$")
OLLAMA_ENDPOINTS = re.compile(r"/api(/(chat|generate|tags|embed|embeddings|version))$")
VERSION_SEGMENT = re.compile(r"/v\d+\w*(/|$)")
LOCAL_SUFFIXES = (".local", ".lan", ".home", ".internal", ".localhost", ".home.arpa")

NO_KEY = "no-key"  # for servers that want none; the `openai` package insists on one

QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "Arrearage"}
DETAIL_CHARACTERS = 200

FAILURES: dict[int, tuple[type[BackendError], str]] = {
    401: (BackendUnauthorized, "check api_key"),
    402: (BackendQuotaExhausted, "add credits, or choose another backend"),
    403: (BackendUnauthorized, "check what this api_key may use"),
    404: (BackendRejected, "check model and base_url, and that the server has the model"),
    408: (BackendUnavailable, "try again"),
    409: (BackendUnavailable, "try again"),
    413: (BackendRejected, "speak or write less at once"),
    429: (BackendBusy, "ask less often, or choose another backend"),
}
"""What a status means to us and to the operator; other 4xx are rejections, all else is the server's own trouble."""


@dataclass(frozen=True)
class ServerConfig:
    """Settings that every backend of an OpenAI-compatible server has."""

    base_url: str = "http://127.0.0.1:11434/v1"
    "Address of the server; scheme, `/v1` and the path of an endpoint may be there or not."
    api_key: str = field(default="", repr=False)
    "Sent as `Authorization: Bearer`; empty for a server that wants none."
    extra_headers: dict[str, str] = field(default_factory=dict, repr=False)
    "More headers of every request, such as `HTTP-Referer` for OpenRouter."
    connect_timeout_s: float = 5.0
    "How long the connection may take, in seconds."
    read_timeout_s: float = 60.0
    "Longest silence of the server in seconds: before its first byte, and between two."

    def __post_init__(self) -> None:
        """Refuse what no server could use.  Raises ConfigError."""
        normalise_base_url(self.base_url)
        for name, value in {"api_key": self.api_key, **self.extra_headers}.items():
            if not (value.strip().isprintable() and value.isascii()):
                raise ConfigError(f"{name}: has characters that no header can carry; copy it again")
        for name in ("connect_timeout_s", "read_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: is {getattr(self, name)!r}; allowed is a number above 0")


def normalise_base_url(address: str) -> str:
    """Return the address under which the endpoints of a server lie, such as `http://127.0.0.1:11434/v1`.

    Without a scheme, a public name without a port gets https, so that no key travels in the clear; all else http.
    Raises ConfigError if it is no web address.
    """
    text = address.strip()
    if set("?#@") & set(text):
        raise ConfigError("base_url: has more than an address (one of ? # @); put keys into api_key or extra_headers")
    if "://" not in text:
        text = f"{'https' if _is_public_name(text) else 'http'}://{text}"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(f"base_url: is {address!r}; allowed is an address such as http://127.0.0.1:11434/v1")
    path = OLLAMA_ENDPOINTS.sub("", re.sub(r"//+", "/", parts.path).rstrip("/"))
    bare = ENDPOINTS.sub("", path)
    if bare == path and not VERSION_SEGMENT.search(bare):
        bare += "/v1"
    return f"{parts.scheme}://{parts.netloc}{bare}"


def _is_public_name(text: str) -> bool:
    host = text.split("/")[0].lower()
    return bool(re.fullmatch(r"[a-z0-9.-]+\.[a-z]{2,}", host)) and not host.endswith(LOCAL_SUFFIXES)


class OpenAiServer:
    """One server: a client of the `openai` package whose failures are BackendErrors.

    Every message names the server and says what to do; none ever holds the key.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self.base_url = normalise_base_url(config.base_url)
        self.name = urlsplit(self.base_url).netloc
        self._client: openai.OpenAI | None = None

    def load(self) -> None:
        """Make the client; the server itself is first asked when there is work."""
        try:
            import openai
        except ImportError as error:
            raise BackendUnavailable(f"openai cannot be imported ({error}); pip install 'openai>=3'") from None
        config = self._config
        self._client = openai.OpenAI(
            base_url=self.base_url,
            api_key=config.api_key.strip() or NO_KEY,
            default_headers={name: value.strip() for name, value in config.extra_headers.items()},
            timeout=openai.Timeout(config.read_timeout_s, connect=config.connect_timeout_s),
            max_retries=0,  # the stage retries, and must see every failure
        )
        # Taken from the environment by the package; another server must not learn them.
        self._client.organization = self._client.project = None

    @property
    def client(self) -> openai.OpenAI:
        """The client that `load` made."""
        assert self._client is not None, "load() comes first"
        return self._client

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what the client raises in the block into BackendErrors.

        The causes are cut off: their texts hold headers and bodies that no log may show.
        """
        import httpx2
        import openai

        try:
            yield
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise self._timeout(error.__cause__ or error) from None
        except openai.APIStatusError as error:
            status, headers = error.status_code, error.response.headers
            raise self._failure(f"answered {status}", status, error.body, headers) from None
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError) as error:
            kind = type(error.__cause__ or error).__name__
            raise self.unavailable(f"cannot be reached or broke off ({kind})") from None

    def events(self, response: httpx2.Response, is_end: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
        """Yield the events of a streamed answer; a plain JSON answer is one event.

        is_end: whether this event is the protocol's own end; so is `[DONE]`.  Raises BackendUnavailable when the
        answer ends without one, and the right BackendError for an event that reports an error.
        """
        import httpx2

        kind = content_type(response)
        if kind.endswith("json"):
            yield self._checked(response.read())
            return
        if kind == "text/html":
            raise self.refusal(response)
        has_ended = False
        try:
            for data in _sse_data(response.iter_bytes()):  # to the last byte, or the connection cannot be used again
                event = None if data == "[DONE]" else self._checked(data)
                has_ended = has_ended or event is None or is_end(event)
                if event is not None:
                    yield event
        except httpx2.HTTPError:
            if not has_ended:
                raise
        if not has_ended:
            raise self.unavailable("ended its answer too early")

    def refusal(self, response: httpx2.Response) -> BackendError:
        """Return the error for an answer of status 200 whose type shows that it is not what was asked for."""
        kind = content_type(response)
        try:
            if kind.endswith("json"):
                self._checked(response.read())
        except BackendError as error:
            return error
        return self.unavailable(f"answered {kind} where none was asked for; check base_url, or the proxy")

    def unavailable(self, what: str) -> BackendUnavailable:
        """Return the error for a server in trouble.  what: the rest of a sentence that the server's name begins."""
        remedy = "" if ";" in what else "; check that it runs, and base_url"
        return BackendUnavailable(f"{self.name} {what}{remedy}")

    def _checked(self, data: str | bytes) -> dict[str, Any]:
        try:
            event = json.loads(data)
        except ValueError:
            raise self.unavailable(f"sent {len(data)} bytes that are no JSON") from None
        if not isinstance(event, dict):
            raise self.unavailable(f"sent a JSON {type(event).__name__}, no object")
        is_error = "error" in (event.get("type"), event.get("object")) or set(event) == {"detail"}
        error = event.get("error") or (event if is_error else None)
        if error is None:
            return event
        code = _mapping(error).get("code")
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500
        raise self._failure("reported an error", status, error)

    def _timeout(self, cause: BaseException) -> BackendTimeout:
        if type(cause).__name__ in ("ConnectTimeout", "PoolTimeout"):
            limit = f"took no connection within {self._config.connect_timeout_s:g} s (connect_timeout_s)"
        else:
            limit = f"sent nothing for {self._config.read_timeout_s:g} s (read_timeout_s)"
        return BackendTimeout(f"{self.name} {limit}; check that it runs, or allow more time")

    def _failure(self, what: str, status: int, body: object, headers: Mapping[str, str] | None = None) -> BackendError:
        fields = _mapping(body)
        metadata = _mapping(fields.get("metadata"))
        failed = BackendRejected if 300 <= status < 500 else BackendUnavailable
        kind, remedy = FAILURES.get(status, (failed, "look into the log of the server"))
        if QUOTA_CODES & {str(fields.get("code")), str(fields.get("type"))}:
            kind, remedy = FAILURES[402]
        elif status == 402 and metadata.get("limit_source") == "openrouter_in_flight_budget":
            kind, remedy = FAILURES[429]
        elif status == 403 and metadata.keys() & {"reasons", "flagged_input"}:
            kind, remedy = BackendRejected, "its moderation refuses this input"
        explained = self._redact(" ".join(_explain(body).split()))[:DETAIL_CHARACTERS]
        message = f"{self.name} {what}{f' ({explained})' if explained else ''}; {remedy}"
        return kind(message, retry_after_s=_retry_after_s(headers or {}))

    def _redact(self, text: str) -> str:
        headers = [value.strip() for value in self._config.extra_headers.values()]
        for secret in [self._config.api_key.strip(), *sorted(headers, key=len, reverse=True)]:
            if secret:
                text = text.replace(secret, "[removed]")
        return re.sub(r"(?i)(bearer\s+|\bsk-)\S+", r"\1[removed]", text)


def content_type(response: httpx2.Response) -> str:
    """Return the media type of an answer in lower case, without parameters; empty when it names none."""
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def _sse_data(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each server-sent event.  Source: WHATWG HTML Living Standard, section 9.2.6."""
    rest, data = b"", []
    for chunk in chain(chunks, [b"\n\n"]):  # the last event may lack its blank line
        *lines, rest = (rest + chunk).split(b"\n")  # bytes, not text: a character may be cut in two
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data).decode(errors="replace")
                data = []


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _explain(body: object) -> str:
    """Return what the server says about an error, and nothing that it repeats of the request."""
    if isinstance(body, list):
        return ", ".join(_explain(item) for item in body[:3])
    if isinstance(body, dict):
        keys = ("message", "msg", "error", "detail", "code", "type")
        return next((_explain(body[key]) for key in keys if body.get(key)), "")
    text = str(body or "").strip()
    return "a web page, as from a proxy" if text.startswith("<") else text


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait: seconds or a date.  Source: RFC 9110, section 10.2.3."""
    try:
        value = headers.get("retry-after", "")
        if re.fullmatch(r"\s*[\d.]+\s*", value):
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
