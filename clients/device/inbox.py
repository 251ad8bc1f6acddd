"""The way from the audio thread to the one that listens: bounded, in order, and the audio thread never waits."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any


class Inbox:
    """Chunks of sound, of which the oldest give way when nobody takes them, and events, none of which is lost."""

    def __init__(self, max_chunks: int) -> None:
        self._chunks: deque[tuple[int, bytes]] = deque(maxlen=max_chunks)
        self._events: deque[Any] = deque()
        self._has_news = threading.Event()
        self._n_put = 0
        "Only the audio thread changes it."
        self._n_taken = 0
        "Number of the chunk that is due; only the listener changes it."
        self.n_lost = 0
        "Chunks that gave way."

    def put_chunk(self, chunk: bytes) -> None:
        """Add sound; called from the audio thread: one append, no lock that the listener holds while it works."""
        # A deque with maxlen drops its oldest entry in the same step; the number tells the listener of the gap.
        self._chunks.append((self._n_put, chunk))
        self._n_put += 1
        self._has_news.set()

    def forget_chunks(self) -> None:
        """Drop the sound that nobody has taken yet; it counts as lost."""
        self._chunks.clear()

    def put_event(self, event: Any) -> None:
        """Add an event; called from any thread."""
        self._events.append(event)
        self._has_news.set()

    def wait(self, timeout_s: float) -> None:
        """Return when something is there, or after that time."""
        self._has_news.wait(timeout_s)
        # Before anything is taken: what comes meanwhile sets it again.
        self._has_news.clear()

    def take_chunk(self) -> tuple[bytes, bool] | None:
        """Return the oldest chunk and whether some before it were lost; None when there is none."""
        try:
            number, chunk = self._chunks.popleft()
        except IndexError:
            return None
        n_missing = number - self._n_taken
        self.n_lost += n_missing
        self._n_taken = number + 1
        return chunk, n_missing > 0

    def take_event(self) -> Any:
        """Return the oldest event; None when there is none."""
        try:
            return self._events.popleft()
        except IndexError:
            return None

    @property
    def n_waiting(self) -> int:
        """Chunks that wait."""
        return len(self._chunks)
