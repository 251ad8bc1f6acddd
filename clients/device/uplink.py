"""Sends utterances while they are spoken, and once more when the network fails."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from clients.device.link import Busy, Link
from clients.device.outbox import Kept, Outbox
from clients.device.settings import Settings
from clients.device.steps import Event, Uploaded, UploadFailed
from clients.device.utterance import Utterance
from clients.device.windows import SAMPLE_RATE
from clients.service import Lost, Trouble

HEADERS = {"Content-Type": f"audio/L16;rate={SAMPLE_RATE}"}


class Uplink:
    """One thread that asks the service to take utterances, and to be silent."""

    def __init__(
        self, settings: Settings, post: Callable[[Event], object], on_cancelled: Callable[[list[str]], object]
    ) -> None:
        self._link = Link(settings)
        self._outbox = Outbox(settings.server)
        self._post = post
        self._on_cancelled = on_cancelled
        self._new: deque[Utterance] = deque()
        self._wants_silence = False
        self._is_stopping = False
        self._has_news = threading.Event()
        self.last_upload_s = 0.0
        "Monotonic time of the newest upload's end, for measurements."
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End when the request in progress is over."""
        self._is_stopping = True
        self._has_news.set()

    def configure(self, settings: Settings) -> None:
        """Take other settings from the next request on."""
        self._link.configure(settings)
        self._outbox.settings = settings.server

    def send(self, utterance: Utterance) -> None:
        """Send an utterance that may still be growing; never waits."""
        self._new.append(utterance)
        self._has_news.set()

    def interrupt(self) -> None:
        """Have the service be silent; never waits."""
        self._wants_silence = True
        self._has_news.set()

    @property
    def n_kept(self) -> int:
        """Utterances that the service does not have yet."""
        return len(self._new) + len(self._outbox)

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_stopping:
            self._has_news.wait(min(1.0, self._outbox.wait_s(time.monotonic())))
            self._has_news.clear()
            self.work()

    def work(self) -> None:
        """Do what is due."""
        if self._wants_silence:
            self._wants_silence = False
            self._silence()
        self._take_new()
        while not self._is_stopping and (kept := self._outbox.due(time.monotonic())) is not None:
            self._upload(kept)
            self._take_new()

    def _take_new(self) -> None:
        while self._new:
            if self._outbox.add(self._new.popleft(), time.monotonic()):
                self._post(UploadFailed("too many wait for the network, the oldest is dropped", is_kept=False))

    def _silence(self) -> None:
        try:
            answer = self._link.ask("POST", "/interrupt", timeout_s=10)
            cancelled = answer.json().get("cancelled", []) if answer.ok else []
            self._on_cancelled([str(turn) for turn in cancelled])
        except (Trouble, ValueError):
            # The next question interrupts too; what still comes of this reply is not played.
            pass

    def _upload(self, kept: Kept) -> None:
        was_complete = False

        def body() -> Iterator[bytes]:
            nonlocal was_complete
            yield from kept.utterance.chunks()
            was_complete = True

        # What is complete goes in one piece: a service that refuses it can say so before it has read it.
        data: Any = kept.utterance.pcm16() if kept.utterance.is_finished else body()
        params = {"interrupt": "1"} if kept.interrupts else {}
        try:
            was_complete = kept.utterance.is_finished
            turn = str(self._link.ask("POST", "/upload", params, data=data, headers=HEADERS).json()["turn"])
        except Lost as error:
            wait_s = error.retry_after_s if isinstance(error, Busy) else 0.0
            was_taken = was_complete and not isinstance(error, Busy)
            is_kept = self._outbox.failed(kept, time.monotonic(), wait_s, was_taken)
            self._post(UploadFailed(str(error), is_kept))
        except (Trouble, ValueError, KeyError, TypeError) as error:
            self._outbox.sent(kept)
            self._post(UploadFailed(str(error), is_kept=False))
        else:
            self.last_upload_s = time.monotonic()
            self._outbox.sent(kept)
            self._post(Uploaded(turn))
