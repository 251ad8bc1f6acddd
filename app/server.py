"""The gunicorn worker: HTTP requests go to Flask in threads, everything waits on one port in one process.

A thin layer over uvicorn-worker.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from app.bridge import WsgiBridge
from app.service import Service


class EarshotWorker(UvicornWorker):
    """Serves the Flask app of wsgi.py; on SIGTERM open turns finish while their devices still fetch."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": "websockets-sansio",
        # Protocol pings drop small devices that are busy playing.
        "ws_ping_interval": None,
        "ws_ping_timeout": None,
        "lifespan": "off",
        # Requests that still wait when the open turns are over are let go.
        "timeout_graceful_shutdown": 1,
        "access_log": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        service: Service = self.wsgi.extensions["earshot"]
        self.config.app = WsgiBridge(self.wsgi, service.config.server.threads)
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
