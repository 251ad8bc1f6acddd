"""A service whose side of a live conversation is written down: for clients of the WebSocket.

What it sends is held against the contract too, so that no client is tested with what no service would send.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.live_contract import ContractChecker
from tests.live_messages import check_client_message


@dataclass(frozen=True)
class Close:
    """The service closes the connection here; without a code it is torn."""

    code: int = 0


@dataclass
class Heard:
    """What came over one connection."""

    query: dict[str, str]
    messages: list[dict[str, Any]] = field(default_factory=list)
    sound: bytes = b""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all messages of this type."""
        return [message.get("data", {}) for message in self.messages if message["type"] == kind]


class LiveScript:
    """Runs while the `with` block does.

    scripts: one for each connection, in turn: what the service sends, Close, and as texts the types of the client's
    messages that it waits for.  Behind the last step it listens until the client leaves.
    token: what the client must show, if anything.  refusals: statuses of the first handshakes.
    """

    def __init__(self, *scripts: list[Any], token: str = "", refusals: tuple[int, ...] = ()) -> None:
        self._scripts = list(scripts)
        self._token = token
        self._refusals = list(refusals)
        self._breaches: list[str] = []
        self.heard: list[Heard] = []
        self.url = ""
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="live-script", daemon=True)

    def __enter__(self) -> LiveScript:
        self._thread.start()
        assert self._is_ready.wait(10), "the stand-in did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the stand-in did not stop"
        assert self._breaches == []

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/ws", self._converse)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener).start()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._is_ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _converse(self, request: web.Request) -> web.StreamResponse:
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            return _refuse(401, "unauthorized", "a token is wanted")
        if self._refusals:
            return _refuse(self._refusals.pop(0), "overloaded", "no room")
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        heard = Heard(dict(request.query))
        self.heard.append(heard)
        try:
            await self._play(self._scripts.pop(0), request, connection, heard)
        except AssertionError as breach:
            self._breaches.append(str(breach))
        return connection

    async def _play(
        self, script: list[Any], request: web.Request, connection: web.WebSocketResponse, heard: Heard
    ) -> None:
        checker = ContractChecker()
        for step in script:
            if isinstance(step, Close):
                await _close(request, connection, step)
                return
            if isinstance(step, str):
                while await _take(connection, heard, checker) not in (step, ""):
                    pass
            elif isinstance(step, bytes):
                checker.received_binary(step)
                await connection.send_bytes(step)
            else:
                checker.received(step)
                await connection.send_json(step)
        while await _take(connection, heard, checker):
            pass
        checker.finish()


async def _take(connection: web.WebSocketResponse, heard: Heard, checker: ContractChecker) -> str:
    """Take one frame of the client and return its type; nothing when it has left."""
    frame = await connection.receive()
    if frame.type is WSMsgType.BINARY:
        heard.sound += frame.data
        return "sound"
    if frame.type is not WSMsgType.TEXT:
        return ""
    message = json.loads(frame.data)
    check_client_message(message)
    checker.sent(message)
    heard.messages.append(message)
    return str(message["type"])


async def _close(request: web.Request, connection: web.WebSocketResponse, how: Close) -> None:
    if how.code:
        await connection.close(code=how.code)
    elif request.transport is not None:
        request.transport.abort()


def _refuse(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers={"Retry-After": "0"})
