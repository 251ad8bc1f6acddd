"""The bridge from asyncio to a WSGI app, with the connection in the test's hands."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from app.bridge import MAX_READ_AHEAD_BYTES, SHORT_BODY_BYTES, RequestThreads, WsgiBridge

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Connection:
    """What uvicorn would be: gives the request in pieces and takes the response."""

    def __init__(self, *pieces: bytes, headers: dict[str, str] | None = None, leaves: bool = False) -> None:
        self.pieces = list(pieces)
        self.headers = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
        self.leaves = leaves
        self.sent: list[dict[str, Any]] = []
        self.over = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.leaves}
        if not self.leaves:
            await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message["more_body"]:
            self.over.set()

    async def ask(self, app: Any, method: str = "POST") -> None:
        scope = {
            "type": "http", "method": method, "path": "/ä", "query_string": b"a=1", "http_version": "1.1",
            "scheme": "http", "server": ("127.0.0.1", 80), "client": ("192.0.2.1", 9), "headers": self.headers,
        }  # fmt: skip
        await asyncio.wait_for(WsgiBridge(app, 2)(scope, self.receive, self.send), 10)

    @property
    def body(self) -> bytes:
        return b"".join(m["body"] for m in self.sent if m["type"] == "http.response.body")


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the request's body and some of its environment."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Path", environ["PATH_INFO"])])
    return [body]


def run(connection: Callable[[], Connection], app: Any) -> Connection:
    async def ask() -> Connection:
        made = connection()
        await made.ask(app)
        return made

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": "6"}, {"Transfer-Encoding": "chunked"}, {"Content-Length": str(SHORT_BODY_BYTES + 1)}],
    ids=["short", "chunked", "long"],
)
def test_a_body_in_pieces(headers: dict[str, str]) -> None:
    """The app reads the whole body, however it arrives, and its answer leaves in one piece."""
    done = run(lambda: Connection(b"abc", b"", b"def", headers=headers), echo)
    assert done.body == b"abcdef"
    assert [m["type"] for m in done.sent] == ["http.response.start", "http.response.body"]
    assert dict(done.sent[0]["headers"])[b"x-path"].decode("latin-1").encode("latin-1").decode() == "/ä"


def test_a_short_body_that_breaks_off_never_reaches_the_app() -> None:
    """No thread is spent on half a request."""
    asked = []
    done = run(lambda: Connection(b"abc", headers={"Content-Length": "6"}, leaves=True), lambda *a: asked.append(a))
    assert (asked, done.sent) == ([], [])


def test_a_chunked_body_that_breaks_off_is_an_error() -> None:
    """Half a body never looks like a whole one."""
    errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return [environ["wsgi.input"].read()]
        except OSError as error:
            errors.put(error)
            raise

    run(lambda: Connection(b"abc", headers={"Transfer-Encoding": "chunked"}, leaves=True), app)
    assert isinstance(errors.get(timeout=10), ConnectionResetError)


def test_a_long_body_that_is_not_read_holds_nothing() -> None:
    """An app that refuses without reading ends the exchange, however much was sent."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("413 Content Too Large", [("Content-Length", "2")])
        return [b"no"]

    many = [bytes(MAX_READ_AHEAD_BYTES)] * 4
    done = run(lambda: Connection(*many, headers={"Transfer-Encoding": "chunked"}), app)
    assert done.body == b"no"


def test_a_response_of_unknown_length_ends() -> None:
    """Pieces leave as they come; an empty one ends the response."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b""
        yield b"two"

    done = run(lambda: Connection(b""), app)
    assert [m["body"] for m in done.sent[1:]] == [b"one", b"two", b""]


def test_the_app_is_told_when_its_reader_leaves() -> None:
    """A response that nobody takes is closed as an error, and who waits for the client is woken."""
    told: list[str] = []
    closed: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            yield b"second"

        def close(self) -> None:
            closed.put("closed")

    async def ask() -> Connection:
        made = Connection(b"")

        def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            environ["earshot.on_lost"](lambda: told.append("lost"))
            start_response("200 OK", [])
            return Body()

        async def send(message: dict[str, Any]) -> None:
            made.sent.append(message)
            made.over.set()

        made.send = send  # type: ignore[method-assign]
        await made.ask(app)
        return made

    assert [m.get("body") for m in asyncio.run(ask()).sent] in ([None, b"first"], [None, b"first", b"second"])
    assert told == ["lost"]
    assert closed.get(timeout=10) == "closed"


def test_a_fault_in_the_app_ends_the_exchange() -> None:
    """The server learns that there will be no response."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise ZeroDivisionError

    with pytest.raises(asyncio.CancelledError):
        run(lambda: Connection(b""), app)


def test_threads_are_kept_and_limited() -> None:
    """Work goes to a thread that is free, a new one is started only up to the limit, and the rest waits."""
    threads = RequestThreads(2)
    names: queue.SimpleQueue[str] = queue.SimpleQueue()
    go_on = threading.Event()

    def work() -> None:
        go_on.wait(10)
        names.put(threading.current_thread().name)

    for _ in range(5):
        threads.submit(work)
    go_on.set()
    assert {names.get(timeout=10) for _ in range(5)} <= {"request-1", "request-2"}
