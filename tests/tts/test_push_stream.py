"""Audio that an engine pushes, pulled by an iterator."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from app.errors import BackendTimeout
from app.tts.push_stream import Sink, pull_audio


def test_pieces_come_while_the_engine_still_works() -> None:
    """The first piece is readable before the engine has made the second."""
    is_read = threading.Event()

    def push_audio(sink: Sink) -> None:
        sink(b"11")
        assert is_read.wait(10)
        sink(b"22")

    pieces = pull_audio(push_audio, threading.Lock())
    assert next(pieces) == b"11"
    is_read.set()
    assert list(pieces) == [b"22"]


def test_closing_stops_the_engine() -> None:
    """The engine is told to stop at its next piece, and its lock is free afterwards."""
    lock, is_closed = threading.Lock(), threading.Event()
    answers = []

    def push_audio(sink: Sink) -> None:
        answers.append(sink(b"11"))
        assert is_closed.wait(10)
        answers.append(sink(b"22"))

    pieces = pull_audio(push_audio, lock)
    next(pieces)
    pieces.close()
    is_closed.set()
    assert lock.acquire(timeout=10)
    assert answers == [True, False]


def test_a_caller_that_gave_up_never_enters_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for the engine's lock is told so, and its text is not spoken later."""
    monkeypatch.setattr("app.tts.push_stream.PATIENCE_S", 0.01)
    lock, sinks = threading.Lock(), []
    known = set(threading.enumerate())
    with lock:
        with pytest.raises(BackendTimeout, match="gave no audio"):
            next(pull_audio(sinks.append, lock))
        engines = set(threading.enumerate()) - known
    for engine in engines:
        engine.join(10)
    assert len(engines) == 1
    assert not sinks


def test_an_error_of_the_engine_reaches_the_reader() -> None:
    """What the engine raises is raised where the audio is awaited, after the audio made before it."""

    def push_audio(sink: Sink) -> None:
        sink(b"11")
        raise LookupError("no such phoneme")

    pieces = pull_audio(push_audio, threading.Lock())
    assert next(pieces) == b"11"
    with pytest.raises(LookupError, match="no such phoneme"):
        next(pieces)


def test_the_end_of_the_process_stops_the_engine() -> None:
    """A process that ends in mid-sentence does not wait for the rest, even if the engine would never finish."""
    code = (
        "import itertools, threading; from app.tts.push_stream import pull_audio\n"
        "pieces = pull_audio(lambda sink: all(sink(b'11') for _ in itertools.count()), threading.Lock())\n"
        "next(pieces)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
