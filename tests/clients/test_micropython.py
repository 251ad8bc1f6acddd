"""The MicroPython device against a real service, with files in place of microphone and speaker.

Each test runs under MicroPython where it is installed (MICROPYTHON names another one), and under Python everywhere.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.serving import RunningService, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "micropython"
BOARD = Path(__file__).resolve().parent / "board"
MICROPYTHON = os.environ.get("MICROPYTHON") or shutil.which("micropython")
HEAP = "96k"
"""Far less than any board has, and than a reply of some seconds."""
TOKEN = "secret-of-esp"


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes(server={"tokens": {"esp": {"token": TOKEN}}})) as running:
        yield running


@pytest.fixture(params=["micropython", "python"])
def interpreter(request: pytest.FixtureRequest) -> str:
    """Give the name of what runs the program; skip the test where it is not there."""
    if request.param == "micropython" and not MICROPYTHON:
        pytest.skip("micropython is not installed; `apt-get install micropython` where the system has it")
    name: str = request.param
    return name


def command(interpreter: str, script: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment that run a script of the board."""
    paths = f"{CLIENT}:{BOARD}"
    if interpreter == "python":
        return [sys.executable, str(BOARD / script), *arguments], {**os.environ, "PYTHONPATH": paths}
    start = [str(MICROPYTHON), "-X", f"heapsize={HEAP}", str(BOARD / script), *arguments]
    return start, {**os.environ, "MICROPYPATH": paths}


class Board:
    """A device whose button is pressed and whose sound lies in files."""

    def __init__(self, interpreter: str, folder: Path) -> None:
        self._interpreter = interpreter
        self._question = folder / "question.pcm"
        self._answer = folder / "answer.pcm"
        self._question.write_bytes(speech_wav(5, seconds=1.5)[44:])

    def run(self, url: str, *, token: str = TOKEN, session: str = "", presses: str = "", steps: int = 1) -> list[str]:
        """Run some steps of the device and return the lines that it printed."""
        files = str(self._question), str(self._answer)
        line, environ = command(self._interpreter, "run_device.py", url, token, session, *files, presses, str(steps))
        done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=100, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return done.stdout.splitlines()

    @property
    def heard(self) -> bytes:
        """What was played."""
        return self._answer.read_bytes() if self._answer.exists() else b""


@pytest.fixture
def board(interpreter: str, tmp_path: Path) -> Board:
    return Board(interpreter, tmp_path)


def reply_of(service: RunningService, session: str) -> bytes:
    """Return all sentences of the session's only turn, fetched once more."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Session-Id": session}
    lines = service.get("/events", headers=headers, stream=True).iter_lines()
    turn = next(match[1].decode() for line in lines if (match := re.search(rb'"turn": "(\w+)"', line)))
    path = f"/audio?turn={turn}&format=pcm&rate=16000&segment="
    segments = service.get(f"/turns/{turn}", headers=headers).json()["segments"]
    return b"".join(service.get(path + str(segment["index"]), headers=headers).content for segment in segments)


def test_a_question_is_answered(service: RunningService, board: Board, interpreter: str) -> None:
    """What is said while the button is held is asked; every sentence of the answer is played, byte for byte."""
    told = board.run(service.url, session=f"ask-{interpreter}", presses="start", steps=4)
    assert told == ["asked: 1.5 s", "speaker on", "speaker off"]
    assert board.heard == reply_of(service, f"ask-{interpreter}")
    assert len(board.heard) > 16_000


def test_a_long_answer_needs_little_memory(service: RunningService, board: Board, interpreter: str) -> None:
    """A sentence ten times as long as the memory is played as it arrives; nobody pressed the button."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    sound = speech_wav(7, seconds=30.0)
    service.post(f"/say?session=long-{interpreter}", data=sound, headers=headers)
    told = board.run(service.url, session=f"long-{interpreter}", steps=2)
    assert told == ["speaker on", "speaker off"]
    assert board.heard == sound[44:]


def test_a_press_interrupts_the_answer(service: RunningService, board: Board, interpreter: str) -> None:
    """Pressing while a sentence is played ends it at once; the new question is answered instead of the rest."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    service.post(f"/say?session=stop-{interpreter}", data=speech_wav(7, seconds=30.0), headers=headers)
    told = board.run(service.url, session=f"stop-{interpreter}", presses="play", steps=6)
    assert told[:4] == ["speaker on", "speaker cut", "asked: 1.5 s", "speaker on"]
    assert len(board.heard) < 960_000


def test_the_device_is_listed(service: RunningService, board: Board, interpreter: str) -> None:
    """A device that waits for sound tells now and then that it is alive."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    service.post(f"/say?session=list-{interpreter}", json={"text": "Hello."}, headers=headers)
    board.run(service.url, session=f"list-{interpreter}", steps=2)
    listed = {device["session"]: device["online"] for device in service.get("/devices", headers=headers).json()}
    assert listed[f"esp/list-{interpreter}"] is True


# ---- what goes wrong -------------------------------------------------------------------------------------------------

SENTENCE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm;rate=16000\r\nContent-Length: 8000\r\n\r\n" + bytes(range(250)) * 32
)
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 56\r\n\r\n"
    b'{"error": {"code": "overloaded", "message": "too much"}}'
)
END = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextmanager
def scripted(*answers: bytes) -> Iterator[str]:
    """Serve these answers one by one, each on a connection that ends with it; heartbeats are taken besides."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/heartbeat":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                return
            self.wfile.write(left.pop(0))
            self.close_connection = True

        def do_POST(self) -> None:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_wrong_token_is_told(service: RunningService, board: Board) -> None:
    """The server's own words are printed; neither a question nor waiting ends the program."""
    told = board.run(service.url, token="wrong", presses="start", steps=3)
    message = "refused: 401 the token is not known; send the header"
    assert len(told) == 3
    assert all(line.startswith(message) and line.endswith("trying again in 30 s") for line in told)


def test_a_busy_server_says_when_to_come_back(board: Board) -> None:
    """After 503 the device waits as long as the server says."""
    with scripted(BUSY, BUSY, END) as url:
        told = board.run(url, presses="start", steps=3)
    assert told == ["refused: 503 too much; trying again in 7 s"] * 2


def test_a_server_that_is_down(board: Board) -> None:
    """It is tried again less and less often, and the network is looked after each time."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = board.run(f"http://127.0.0.1:{port}", presses="start", steps=7)
    assert [line for line in told if line == "network asked for"] == ["network asked for"] * 7
    waits = [line.rsplit(";", 1)[1] for line in told if line.startswith("the server cannot be reached (")]
    assert waits == [f" trying again in {wait_s} s" for wait_s in (1, 2, 4, 8, 15, 30, 30)]


def test_a_sentence_that_breaks_off_is_heard_again(board: Board) -> None:
    """The connection is lost in the middle of a sentence; the next try plays it from its beginning."""
    with scripted(SENTENCE[:-4000], SENTENCE, END) as url:
        told = board.run(url, steps=3)
    lost = "the server cannot be reached (the server closed the connection); trying again in 1 s"
    assert told == ["speaker on", lost, "speaker off", "network asked for", "speaker on", "speaker off"]
    assert board.heard.endswith(SENTENCE[-8000:])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Field: 1\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        b'HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n["error", null]',
        b"HTTP/1.1 301 Moved\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_answers_of_something_else(board: Board, answer: bytes) -> None:
    """Whatever answers in place of the service is told in a line and tried again; the next good answer is played."""
    with scripted(answer, SENTENCE, END) as url:
        told = board.run(url, steps=3)
    assert [line for line in told if "trying again in" in line][1:] == []
    assert board.heard == SENTENCE[-8000:]


def test_the_upper_half_of_a_sample_is_taken(interpreter: str) -> None:
    """The microphone's 32-bit samples become PCM16 of the same sign and order."""
    line, environ = command(interpreter, "convert_samples.py")
    done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[0, 1, -1, 32767, -32768, 4660]\n", "")
