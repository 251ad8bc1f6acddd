"""Engines that push audio into a C callback, turned into iterators that pull it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from app.errors import BackendTimeout

Sink = Callable[[bytes], bool]
"""Takes PCM16; returns whether the engine is to go on.  Never raises, because a C callback has nowhere to send it."""

PATIENCE_S = 60.0
"""Longest wait for the engine's next audio, other callers' turns at its lock included."""


def pull_audio(push_audio: Callable[[Sink], None], lock: AbstractContextManager[object]) -> Iterator[bytes]:
    """Yield what an engine pushes, while it pushes it; an error of the engine is raised here.

    The engine runs in a thread of its own and holds `lock` meanwhile.  The queue has no bound, so that a slow reader
    never keeps the lock from others; the text bounds it.  Closing the iterator returns at once and stops the engine at
    its next callback.  Raises BackendTimeout.
    """
    pieces: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
    is_abandoned = threading.Event()

    def take(pcm16: bytes) -> bool:
        pieces.put(pcm16)
        is_leaving = not threading.main_thread().is_alive()
        return not is_abandoned.is_set() and not is_leaving

    def run() -> None:
        try:
            with lock:
                if not is_abandoned.is_set():
                    push_audio(take)
        except BaseException as error:  # handed over, and raised where the audio is awaited
            pieces.put(error)
        else:
            pieces.put(None)

    # Not a daemon: one that is killed inside the engine's callback at exit would take the process down with it.
    # The end of the process waits for it, which is short, because `take` stops the engine then.
    threading.Thread(target=run, name="voice-tts-engine").start()
    try:
        yield from _drain(pieces)
    finally:
        is_abandoned.set()


def _drain(pieces: queue.SimpleQueue[bytes | BaseException | None]) -> Iterator[bytes]:
    while True:
        try:
            piece = pieces.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise BackendTimeout(
                f"The speech engine gave no audio for {PATIENCE_S:.0f} s; restart the service"
            ) from None
        if piece is None:
            return
        if isinstance(piece, BaseException):
            raise piece
        yield piece
