"""Stand-ins for what a device has: a microphone, a loudspeaker, a connection that breaks."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from app.audio.pcm import SPEECH_RATE_HZ
from tests.serving import ROOT
from tests.sounds import speech_wav

TALK = ROOT / "clients" / "talk.py"

LOUDSPEAKER = """
import os, sys
from pathlib import Path
wav = sys.stdin.buffer.read() if sys.argv[-1] in ("-", "-q") else Path(sys.argv[-1]).read_bytes()
folder = Path(os.environ["PLAYED"])
folder.mkdir(exist_ok=True)
(folder / f"{len(list(folder.iterdir())):02}.wav").write_bytes(wav)
"""
"""Writes what it is to play into the folder PLAYED."""

MICROPHONE = """
import os, signal, sys
from pathlib import Path
sound = Path(os.environ["MICROPHONE"])
if sys.argv[-1].endswith(".wav"):
    Path(sys.argv[-1]).write_bytes(sound.with_suffix(".wav").read_bytes())
    sys.exit()
sys.stdout.buffer.write(sound.read_bytes())
sys.stdout.buffer.flush()
if "60" in sys.argv:
    signal.pause()
"""
"""Gives the sound in the file MICROPHONE and ends; asked for a whole minute, it is silent until it is stopped."""


def install(folder: Path, **programs: str) -> Path:
    """Write Python programs as commands into a folder for PATH, and return it."""
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    return folder


class Device:
    """A device that runs talk.py: its files, its commands (a loudspeaker) and its environment."""

    program = TALK

    def __init__(self, folder: Path, url: str, **environ: str) -> None:
        self.folder = folder
        self.played = folder / "played"
        self.commands = install(folder / "commands", aplay=LOUDSPEAKER)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")},
            "PATH": str(self.commands),
            "PLAYED": str(self.played),
            "MICROPHONE": str(folder / "microphone.pcm"),
            "EARSHOT_URL": url,
            **environ,
        }
        (folder / "question.wav").write_bytes(speech_wav(215, seconds=1.0))

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the program in the device's folder."""
        return subprocess.Popen(
            [sys.executable, str(self.program), *arguments],
            **{
                "cwd": self.folder,
                "env": self.environ,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )

    def talk(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        """Run the program; return its exit status, what it told and its errors."""
        with self.start(*arguments, **options) as process:
            told, errors = process.communicate(timeout=60)
            return process.returncode, told, errors

    def heard(self) -> list[bytes]:
        """Return what the loudspeaker was given."""
        return [path.read_bytes() for path in sorted(self.played.iterdir())] if self.played.exists() else []


def read_duration_s(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SPEECH_RATE_HZ)
        return file.getnframes() / file.getframerate()


def expect_s(text: str) -> Any:
    """Return how long the fake voice hums for a text."""
    return pytest.approx(len(text) * 0.02, abs=0.001)


@contextmanager
def breaking_connection(url: str, losses: list[float]) -> Iterator[str]:
    """Give the URL of a way to the service on which the next answers to GET /audio are lost.

    losses: for each such answer, the share of it that comes through; answers behind the last are whole.
    """

    class Way(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = requests.request(self.command, url + self.path, data=body, headers=dict(self.headers), timeout=90)
            head = f"HTTP/1.1 {answer.status_code} {answer.reason}\r\n"
            names = [name for name in answer.headers if name.lower() not in ("transfer-encoding", "connection")]
            raw = (head + "".join(f"{n}: {answer.headers[n]}\r\n" for n in names) + "\r\n").encode() + answer.content
            if self.path.startswith("/audio") and losses:
                raw = raw[: int(len(raw) * losses.pop(0))]
                self.close_connection = True
            self.wfile.write(raw)

        do_POST = do_GET  # noqa: N815 - the names that http.server wants

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with listening(Way) as way:
        yield way


@contextmanager
def refusing_service() -> Iterator[tuple[str, list[str]]]:
    """Give the URL of a service that has no room for anything, and the paths that it refused so far."""
    refused: list[str] = []

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            refused.append(self.path)
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(b'{"error": {"code": "overloaded", "message": "no room"}}')

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with listening(Refusal) as url:
        yield url, refused


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Give the URL of an HTTP server with this handler."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
