"""One utterance: it grows while it is spoken, can be read meanwhile, and is kept until the service has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from clients.device.windows import SAMPLE_RATE
from clients.service import Lost

STALLED_S = 10.0
"""A recording that stays open without a sound is broken."""


class Utterance:
    """Written by the listener, read by the uplink, any number of times."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        self._is_finished = False
        self._has_news = threading.Condition()

    def add(self, pcm16: bytes) -> None:
        """Add sound."""
        with self._has_news:
            if pcm16 and not self._is_finished:
                self._chunks.append(pcm16)
                self._n_bytes += len(pcm16)
                self._has_news.notify_all()

    def finish(self) -> None:
        """Nothing more comes."""
        with self._has_news:
            self._is_finished = True
            self._has_news.notify_all()

    @property
    def is_finished(self) -> bool:
        """Whether it is complete."""
        return self._is_finished

    @property
    def duration_s(self) -> float:
        """How long it is so far."""
        return self._n_bytes / (2 * SAMPLE_RATE)

    def chunks(self) -> Iterator[bytes]:
        """Yield the sound from its beginning, and what follows as it comes; raises Lost when nothing comes any more."""
        n_given = 0
        while True:
            with self._has_news:
                if not self._is_finished and n_given == len(self._chunks):
                    # Whatever changes here wakes us: sound or the end.
                    self._has_news.wait(STALLED_S)
                news = self._chunks[n_given:]
                is_over = self._is_finished
            if not news and not is_over:
                raise Lost("the recording has stalled")
            n_given += len(news)
            if news:
                yield b"".join(news)
            if is_over:
                return

    def pcm16(self) -> bytes:
        """Return all that is there."""
        with self._has_news:
            return b"".join(self._chunks)
