"""What tests of the device share: sounds, settings, a machine with a clock, servers that answer as they are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

from clients.device.schema import build
from clients.device.settings import Settings
from clients.device.windows import SAMPLE_RATE, WINDOW_BYTES
from tests.clients.stand_ins import listening

PATIENCE_S = 20.0
WHISTLE = {"name": "whistle", "engine": "scripted", "path": "2000"}
"""A wake word that is a tone of 2 kHz."""


def settings(tree: dict[str, Any] | None = None, url: str = "http://127.0.0.1:1") -> Settings:
    """Return settings with a whistle for a wake word and without a heartbeat, section by section over that."""
    default: dict[str, Any] = {
        "server": {"url": url, "session": "room", "connect_timeout_s": 2},
        "wake": {"models": [WHISTLE]},
        "heartbeat": {"enabled": False},
    }
    for name, section in (tree or {}).items():
        default[name] = {**default.get(name, {}), **section} if isinstance(section, dict) else section
    made: Settings = build(Settings, default)
    return made


def whistle(seconds: float, sample_rate: int = SAMPLE_RATE, pitch_hz: float = 2000.0, level: float = 8000.0) -> bytes:
    """Return a tone."""
    at_s = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.rint(level * np.sin(2 * np.pi * pitch_hz * at_s)).astype("<i2").tobytes()


def noise(seconds: float, level: float = 8.0, seed: int = 0) -> bytes:
    """Return noise: of a quiet room, or as loud as a voice."""
    samples = np.random.default_rng(seed).normal(0, level, round(seconds * SAMPLE_RATE))
    return np.clip(samples, -32000, 32000).astype("<i2").tobytes()


def windows_of(pcm16: bytes) -> list[bytes]:
    """Return PCM16 as whole windows."""
    return [pcm16[i : i + WINDOW_BYTES] for i in range(0, len(pcm16) - WINDOW_BYTES + 1, WINDOW_BYTES)]


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Return when something has happened in another thread or process; fail when it never does."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline_s, f"it never happened: {what}"
        # Real threads are being waited for.
        time.sleep(0.005)


class Answering:
    """A server that keeps what it is asked and answers as a function says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        "Method, path with query, and body."
        self.url = ""

    def paths(self, method: str) -> list[str]:
        return [path for m, path, _ in self.asked if m == method]

    def bodies(self, path: str) -> list[bytes]:
        return [body for _, p, body in self.asked if p.partition("?")[0] == path]


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answer: Callable[[str, str, bytes], Answer | None]) -> Iterator[Answering]:
    """Run a server; `answer` takes method, path and body, and gives None to break the connection."""
    seen = Answering()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self._body()
            with lock:
                seen.asked.append((self.command, self.path, body))
            told = answer(self.command, self.path, body)
            if told is None:
                self.close_connection = True
                return
            status, headers, content = told
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204 and "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the names that http.server wants

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while (size := int(self.rfile.readline(), 16)) > 0:
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with listening(Handler) as url:
        seen.url = url
        yield seen


def as_json(status: int, tree: object, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(tree).encode()


def refusal(status: int, code: str, **headers: str) -> Answer:
    return as_json(status, {"error": {"code": code, "message": f"this is {code}"}}, **headers)


class Faulty:
    """Fails at the first call and works from then on."""

    def __init__(self, then: Any) -> None:
        self.n_calls = 0
        self.then = then

    def __call__(self, *_arguments: Any, **_options: Any) -> Any:
        self.n_calls += 1
        if self.n_calls == 1:
            raise AttributeError("a fault of ours")
        return self.then
