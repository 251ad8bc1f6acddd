"""The gunicorn worker: requests go to Flask in threads, live conversations stay on the loop, one port.

A thin layer over uvicorn-worker.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from app.bridge import Receive, Send, WsgiBridge
from app.dialects.live import MAX_FRAME_BYTES
from app.dialects.live_door import LiveDoor, refuse
from app.errors import NotFound
from app.live_protocol import LiveProtocol
from app.service import Service

GONE_AFTER_S = 60
"""A client that has acknowledged nothing for so long has vanished."""


class EarshotWorker(UvicornWorker):
    """Serves the Flask app of wsgi.py; on SIGTERM open turns finish while their devices still fetch."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": LiveProtocol,
        # Protocol pings drop small devices that are busy playing.
        "ws_ping_interval": None,
        "ws_ping_timeout": None,
        "ws_max_size": MAX_FRAME_BYTES,
        # Compressing sound costs much and gains nothing.
        "ws_per_message_deflate": False,
        "lifespan": "off",
        # Requests that still wait when the open turns are over are let go.
        "timeout_graceful_shutdown": 1,
        "access_log": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        service: Service = self.wsgi.extensions["earshot"]
        for listener in self.sockets:
            notice_the_vanished(listener)
        http = WsgiBridge(self.wsgi, service.config.server.threads)
        self.config.app = OnePort(http, {"/ws": LiveDoor(service, self.wsgi.extensions["earshot.limiter"])})
        # Its lines on WebSockets show the query, which may hold a token.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        server = DrainingServer(self.config, service)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.leave)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(3)  # gunicorn's Arbiter.WORKER_BOOT_ERROR
        service.stop()
        # Queues give their semaphores back when collected; threads that still wait for audio must not keep the process.
        gc.collect()
        logging.shutdown()
        os._exit(0)


def notice_the_vanished(listener: socket.socket) -> None:
    """Have the system give up connections whose other end is gone without a word, such as a phone out of reach.

    Connections inherit this from the socket that accepts them; source: tcp(7).
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": GONE_AFTER_S * 1000}
    for name, value in options.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class OnePort:
    """An ASGI app that parts requests from live conversations."""

    def __init__(self, http: WsgiBridge, live: dict[str, LiveDoor]) -> None:
        self._http = http
        self._live = live

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["path"] in self._live:
            await self._live[scope["path"]](scope, receive, send)
        else:
            await receive()
            await refuse(send, NotFound(f"no WebSocket at {scope['path'][:80]}"))


class DrainingServer(Server):
    """A uvicorn server that goes on serving until open turns have been heard out."""

    def __init__(self, config: Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._give_up_at_s: float | None = None
        self._arbiter_pid = os.getppid()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no new turns at the first signal, and leave at the second."""
        if self._give_up_at_s is not None:
            super().handle_exit(sig, frame)
            return
        self._give_up_at_s = time.monotonic() + self._service.config.server.drain_timeout_s
        self._service.sessions.begin_to_stop()

    def leave(self) -> None:
        """Leave without waiting for open turns."""
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Leave when nothing is left to do, or the arbiter has died; uvicorn asks about ten times a second."""
        if os.getppid() != self._arbiter_pid:
            self.should_exit = True
        if self._give_up_at_s is not None and (
            self._service.sessions.is_at_rest or time.monotonic() >= self._give_up_at_s
        ):
            self.should_exit = True
        return await super().on_tick(counter)
