"""Requests about speech that is still arriving: one at a time, each beside the speech and never in its way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ


class Interim:
    """Asks for the words so far of one utterance."""

    def __init__(self, ask: Callable[[bytes], str], every_s: float) -> None:
        """ask: returns the words in PCM16 at SPEECH_RATE_HZ; called from a thread of its own.

        every_s: so much more speech is worth another request; 0 for none.
        """
        self._ask = ask
        self._every_bytes = round(every_s * SPEECH_RATE_HZ) * BYTES_PER_SAMPLE
        self._n_asked_bytes = 0
        self._is_asking = False
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def follow(self, pcm16: bytearray) -> str | None:
        """Return the words that were heard since the last call, if any; ask anew when there is enough more speech.

        pcm16: the whole utterance so far.
        """
        heard = self._take_answer()
        if self._every_bytes and not self._is_asking and len(pcm16) - self._n_asked_bytes >= self._every_bytes:
            self._n_asked_bytes, self._is_asking = len(pcm16), True
            threading.Thread(target=self._run, args=(bytes(pcm16),), name="interim-request", daemon=True).start()
        return heard

    def drop(self) -> None:
        """Forget the request that is under way."""
        self._answers = queue.SimpleQueue()

    def _run(self, pcm16: bytes) -> None:
        answers = self._answers
        text = ""
        try:
            text = self._ask(pcm16)
        finally:
            answers.put(text)

    def _take_answer(self) -> str | None:
        try:
            heard = self._answers.get_nowait()
        except queue.Empty:
            return None
        self._is_asking = False
        return heard or None
