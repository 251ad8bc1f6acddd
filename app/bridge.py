"""The way between asyncio and Flask's threads.

It is our own, because three things that devices rely on need it: a body that breaks off must not look complete, a reply
counts as delivered only when the connection took it, and a response crosses between thread and loop once.
Source: PEP 3333 and the ASGI HTTP specification 2.4.
"""

from __future__ import annotations

import asyncio
import io
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
MAX_READ_AHEAD_BYTES = 262_144
"""Of a long body; the connection waits while the thread has not read it."""
SHORT_BODY_BYTES = 1_000_000
"""A body up to this is read before a thread is given to it."""


class WsgiBridge:
    """An ASGI app that runs a WSGI app in threads."""

    def __init__(self, wsgi_app: WsgiApp, threads: int) -> None:
        self._app = wsgi_app
        self._threads = RequestThreads(threads)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        exchange = _Exchange(loop, send)
        if _is_short(scope):
            whole = await _read_whole(receive)
            if whole is None:
                return
            self._start(exchange, build_environ(scope, io.BytesIO(whole)))
        else:
            body = exchange.body = ArrivingBody(loop)
            self._start(exchange, build_environ(scope, body))
            await body.fill(receive)
        await exchange.watch(receive)

    def _start(self, exchange: _Exchange, environ: dict[str, Any]) -> None:
        environ["earshot.on_lost"] = exchange.on_lost
        self._threads.submit(lambda: exchange.run(self._app, environ))


class RequestThreads:
    """Threads that are started when they are needed, and kept.

    Lighter than ThreadPoolExecutor, whose futures cost as much as a small request.  `submit` is for one thread only.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._n_threads = 0
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle: deque[None] = deque()
        "One entry for each thread that waits; deques are safe to use from several threads."

    def submit(self, work: Callable[[], None]) -> None:
        """Do the work in a thread, as soon as one is free."""
        try:
            self._idle.pop()
        except IndexError:
            if self._n_threads < self._max_threads:
                self._n_threads += 1
                threading.Thread(target=self._run, name=f"request-{self._n_threads}", daemon=True).start()
        self._work.put(work)

    def _run(self) -> None:
        while True:
            self._work.get()()
            self._idle.append(None)


async def _read_whole(receive: Receive) -> bytes | None:
    """Return a request's body; None when it broke off.  No thread is held while a slow device sends it."""
    parts = []
    while (message := await receive())["type"] != "http.disconnect":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
    return None


class _Exchange:
    """One request and its response, between the loop and one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self.body: ArrivingBody | None = None
        self._loop = loop
        self._send = send
        self._reader: asyncio.Task[None] | None = asyncio.current_task(loop)
        self._sender: asyncio.Task[None] | None = None
        # Held until the connection has taken what was handed over; a bare lock is the cheapest way to wait.
        self._taken = threading.Lock()
        self._taken.acquire()
        self._is_lost = False
        self._when_lost: Callable[[], None] | None = None
        self._start: dict[str, Any] | None = None
        self._is_started = False
        self._is_finished = False
        self._left_bytes: int | None = None

    # ---- on the loop -------------------------------------------------------------------------------------------------

    async def watch(self, receive: Receive) -> None:
        """Wait for the end of the response or of the connection."""
        while (await receive())["type"] != "http.disconnect":
            pass
        if not self._is_finished:
            self._is_lost = True
            if self._when_lost is not None:
                self._when_lost()

    def _begin_to_send(self, messages: list[dict[str, Any]]) -> None:
        self._sender = self._loop.create_task(self._send_all(messages))

    async def _send_all(self, messages: list[dict[str, Any]]) -> None:
        try:
            for message in messages:
                await self._send(message)
            # A connection that was lost meanwhile is noticed by `watch`, which needs its turn on the loop first.
            await asyncio.sleep(0)
        finally:
            if self._is_finished and self.body is not None:
                self.body.stop()
            self._taken.release()

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the loop when the client leaves before it has its response."""
        self._when_lost = callback
        if self._is_lost:
            callback()

    def run(self, app: WsgiApp, environ: dict[str, Any]) -> None:
        """Call the app and hand its response over."""
        try:
            chunks = app(environ, self._start_response)
            try:
                for chunk in chunks:
                    if chunk:
                        self._write(chunk)
                self._finish()
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()
        except ConnectionError:
            log.debug("the client left during %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        except Exception:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            # uvicorn answers 500, or closes the connection when the response has begun.
            if self._reader is not None:
                self._loop.call_soon_threadsafe(self._reader.cancel)

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info and self._is_started:
            raise exc_info[1].with_traceback(exc_info[2])
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._start = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": raw}
        self._left_bytes = next((int(value) for name, value in raw if name == b"content-length"), None)
        return self._write

    def _write(self, chunk: bytes) -> None:
        if self._left_bytes is not None:
            self._left_bytes -= len(chunk)
        self._hand_over(chunk, is_last=self._left_bytes == 0)

    def _finish(self) -> None:
        if not self._is_finished:
            self._hand_over(b"", is_last=True)

    def _hand_over(self, chunk: bytes, is_last: bool) -> None:
        """Return when the connection has taken the chunk; raises ConnectionResetError when it is lost."""
        if self._is_lost:
            raise ConnectionResetError("the client has left")
        messages = [{"type": "http.response.body", "body": chunk, "more_body": not is_last}]
        if not self._is_started:
            assert self._start is not None, "the app gave a body before its status"
            self._is_started = True
            messages.insert(0, self._start)
        self._is_finished = is_last
        self._loop.call_soon_threadsafe(self._begin_to_send, messages)
        self._taken.acquire()
        if self._is_lost:
            raise ConnectionResetError("the client has left")


class ArrivingBody(io.RawIOBase):
    """A body that is still arriving, for a thread: blocks until bytes come, and fails when it breaks off."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = threading.Condition()
        self._buffer = bytearray()
        self._is_complete = False
        self._is_broken = False
        self._room = asyncio.Event()
        self._room.set()

    # ---- on the loop ---------------------------------------------------------------------------------------------

    async def fill(self, receive: Receive) -> None:
        """Take the body as it comes, no faster than the thread reads it."""
        while not self._is_complete and not self._is_broken:
            message = await receive()
            with self._changed:
                self._buffer += message.get("body", b"")
                self._is_broken = message["type"] == "http.disconnect"
                self._is_complete = not self._is_broken and not message.get("more_body", False)
                if len(self._buffer) > MAX_READ_AHEAD_BYTES:
                    self._room.clear()
                self._changed.notify_all()
            await self._room.wait()

    def stop(self) -> None:
        """Take no more: the response is complete, and what it did not read it will not read."""
        self._is_broken = True
        self._room.set()

    # ---- in the thread -------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill `target` with what there is, waiting for the first byte; 0 at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._buffer or self._is_complete or self._is_broken)
            if not self._buffer and not self._is_complete:
                raise ConnectionResetError("the client left before the body was complete")
            n_bytes = min(len(target), len(self._buffer))
            target[:n_bytes] = self._buffer[:n_bytes]
            del self._buffer[:n_bytes]
            if not self._buffer and not self._room.is_set():
                self._loop.call_soon_threadsafe(self._room.set)
            return n_bytes


def _is_short(scope: dict[str, Any]) -> bool:
    """True for a request whose whole body may be kept until it is complete, or that has none."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" not in headers and length.isdigit() and int(length) <= SHORT_BODY_BYTES


def build_environ(scope: dict[str, Any], body: io.RawIOBase | io.BytesIO) -> dict[str, Any]:
    """Return the WSGI environment of an ASGI request."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": (scope.get("server") or ("localhost", 80))[0],
        "SERVER_PORT": str((scope.get("server") or ("localhost", 80))[1]),
        "REMOTE_ADDR": (scope.get("client") or ("", 0))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        # The body ends by itself, also when it is chunked and has no Content-Length.
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
