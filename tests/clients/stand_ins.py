"""Stand-ins for what a device has: a microphone, a loudspeaker, a connection that breaks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from app.audio.pcm import SPEECH_RATE_HZ, tone
from app.audio.wav import write_wav
from tests.serving import ROOT

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
try:
    sys.stdout.buffer.write(Path(os.environ["MICROPHONE"]).read_bytes())
    sys.stdout.buffer.flush()
    if "-d" not in sys.argv:
        signal.pause()
except BrokenPipeError:
    os._exit(0)
"""
"""Gives the sound in the file MICROPHONE, then silence until it is stopped; with -d it ends by itself."""


def make_question(first: int = 215, duration_s: float = 1.0) -> bytes:
    """Return a WAV in which the fake recogniser hears `utterance FIRST`."""
    return write_wav(make_pcm16(first, duration_s), SPEECH_RATE_HZ)


def make_pcm16(first: int = 215, duration_s: float = 1.0) -> bytes:
    """Return PCM16 in which the fake recogniser hears `utterance FIRST`."""
    return first.to_bytes(2, "little") + tone(300.0, duration_s, SPEECH_RATE_HZ)[2:]


def install(folder: Path, **programs: str) -> Path:
    """Write Python programs as commands into a folder for PATH, and return it."""
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    return folder


class Device:
    """A device that runs talk.py: its files, its commands and its environment."""

    def __init__(self, folder: Path, url: str, **environ: str) -> None:
        self.folder = folder
        self.played = folder / "played"
        self.commands = install(folder / "commands")
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")},
            "PATH": str(self.commands),
            "PLAYED": str(self.played),
            "MICROPHONE": str(folder / "microphone.pcm"),
            "EARSHOT_URL": url,
            **environ,
        }
        (folder / "question.wav").write_bytes(make_question())

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start talk.py in the device's folder."""
        return subprocess.Popen(
            [sys.executable, str(TALK), *arguments],
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
        """Run talk.py; return its exit status, what it told and its errors."""
        with self.start(*arguments, **options) as process:
            told, errors = process.communicate(timeout=60)
            return process.returncode, told, errors

    def heard(self) -> list[bytes]:
        """Return what the loudspeaker was given."""
        return [path.read_bytes() for path in sorted(self.played.iterdir())] if self.played.exists() else []


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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
