"""Shared decoders: whole utterances first, glimpses at unfinished ones in the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_LONGEST_GLIMPSE_S = 0.15
"""An utterance that ends during a glimpse waits for so long at most."""
_REST = 3.0
"""After a glimpse there is none for three times as long as it took, so that all of them take a quarter of the time."""
_USUAL_RATE = 0.05
"""Seconds that a glimpse takes for each second of speech, until it was measured."""
_HIGHEST_RATE = 0.15
"""Believed at most, so that after a busy moment one second of speech is tried again."""


class DecoderTime:
    """Hands out the decoders of one worker; calls come from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._decoders = threading.Lock()
        self._counting = threading.Lock()
        self._n_waiting = 0
        self._resting_until_s = 0.0
        self._rate = _USUAL_RATE

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Hold the decoders for a whole utterance, as soon as nobody else does."""
        self._count(+1)
        with self._decoders:
            self._count(-1)
            yield

    def glimpse(self, speech_s: float, decode: Callable[[], T]) -> T | None:
        """Return what `decode` gives, or None when the decoders are better left alone now.

        speech_s: how much speech it decodes.
        """
        has_time = speech_s * self._rate <= _LONGEST_GLIMPSE_S and self._clock() >= self._resting_until_s
        if not has_time or self._n_waiting or not self._decoders.acquire(blocking=False):
            return None
        try:
            began_at_s = self._clock()
            given = decode()
            now_s = self._clock()
            self._rate = min(_HIGHEST_RATE, 0.5 * self._rate + 0.5 * (now_s - began_at_s) / speech_s)
            self._resting_until_s = now_s + _REST * (now_s - began_at_s)
            return given
        finally:
            self._decoders.release()

    def _count(self, step: int) -> None:
        with self._counting:
            self._n_waiting += step


class ArrivalPace:
    """Tells speech that is being spoken from a recording that is there at once."""

    def __init__(self, clock: Callable[[], float], bytes_per_s: int) -> None:
        self._clock = clock
        self._bytes_per_s = bytes_per_s
        self._began_at_s = clock()
        self._n_bytes = 0

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks on."""
        for chunk in chunks:
            self._n_bytes += len(chunk)
            yield chunk

    def is_live(self) -> bool:
        """Say whether the speech arrives about as slowly as it is spoken.

        An utterance begins with sound from before it was noticed, so that the first half of it counts as ahead.
        """
        return self._clock() - self._began_at_s >= 0.5 * self._n_bytes / self._bytes_per_s
