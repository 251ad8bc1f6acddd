"""A real service for tests: gunicorn with our worker class, on a free port, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 60.0

FAKES: dict[str, Any] = {
    name: {"backends": ["fake"], "concurrency": 8, "retries": 0} for name in ("stt", "llm", "tts", "analysis")
}
"""A configuration of scripted backends without delay."""


def with_fakes(**sections: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of fakes with some settings changed, section by section."""
    config = {name: dict(section) for name, section in FAKES.items()}
    for name, section in sections.items():
        config[name] = {**config.get(name, {}), **section}
    return config


class RunningService:
    """Where a service under test answers."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self.process = process
        self.log = log

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, **{"timeout": 90, **options})

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, **{"timeout": 90, **options})

    def stop(self) -> None:
        """End it without waiting for its turns; nothing happens when it has ended."""
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def serve(
    config: dict[str, Any], environ: dict[str, str] | None = None, server: tuple[str, ...] = ("gunicorn", "wsgi:app")
) -> Iterator[RunningService]:
    """Run a service with this configuration until the block ends; wait until it is ready.

    It takes the port of the configuration, else a free one.
    server: the Python module that serves, and its arguments; `{port}` is filled in.
    """
    port = config.get("server", {}).get("port") or free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        door = {"drain_timeout_s": 0, **config.get("server", {}), "port": port}
        path.write_text(json.dumps({**config, "server": door}))
        log = Path(folder, "log")
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                [sys.executable, "-m", *(part.format(port=port) for part in server)],
                cwd=ROOT,
                env={**os.environ, "EARSHOT_CONFIG": str(path), **(environ or {})},
                stdout=log_file,
                stderr=subprocess.STDOUT,
            )
        service = RunningService(f"http://127.0.0.1:{port}", process, log)
        try:
            wait_until_ready(service)
            yield service
        finally:
            service.stop()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(service: RunningService) -> None:
    """Return when /health, which wants no token, says so; raise AssertionError with the log when it never does."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and service.process.poll() is None:
        try:
            if requests.get(service.url + "/health", timeout=5).json()["ready"]:
                return
        except requests.ConnectionError:
            pass
        # A real process is being waited for, which cannot tell when it listens.
        time.sleep(0.05)
    raise AssertionError(f"the service did not become ready:\n{service.log.read_text()}")


def fetch_reply(service: RunningService, query: str = "") -> list[requests.Response]:
    """Fetch GET /audio until 204 and return the segments."""
    segments = []
    while True:
        response = service.get(f"/audio?timeout=30{query}")
        if response.status_code == 204:
            return segments
        assert response.status_code == 200, response.text
        segments.append(response)
