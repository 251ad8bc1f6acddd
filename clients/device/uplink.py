"""Sends utterances while they are spoken, and once more when the network fails."""

from __future__ import annotations

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
from clients.device.worker import Worker
from clients.service import Lost, Trouble

HEADERS = {"Content-Type": f"audio/L16;rate={SAMPLE_RATE}"}


class Uplink(Worker):
    """One thread that asks the service to take utterances, and to be silent."""

    def __init__(
        self, settings: Settings, post: Callable[[Event], object], on_cancelled: Callable[[list[str]], object]
    ) -> None:
        super().__init__("uplink")
        self._link = Link(settings)
        self._outbox = Outbox(settings.server)
        self._post = post
        self._on_cancelled = on_cancelled
        self._new: deque[Utterance] = deque()
        self._wants_silence = False
        self.last_upload_s = 0.0
        "Monotonic time of the newest upload's end, for measurements."

    def configure(self, settings: Settings) -> None:
        """Take other settings from the next request on."""
        self._link.configure(settings)
        self._outbox.settings = settings.server

    def send(self, utterance: Utterance) -> None:
        """Send an utterance that may still be growing; never waits."""
        self._new.append(utterance)
        self.wake()

    def interrupt(self) -> None:
        """Have the service be silent; never waits."""
        self._wants_silence = True
        self.wake()

    @property
    def n_kept(self) -> int:
        """Utterances that the service does not have yet."""
        return len(self._new) + len(self._outbox)

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def step(self) -> float:
        """Do what is due; return how long there is nothing to do."""
        self.work()
        return min(1.0, self._outbox.wait_s(time.monotonic()))

    def work(self) -> None:
        """Do what is due."""
        self._take_wishes()
        while not self.is_stopping and (kept := self._outbox.due(time.monotonic())) is not None:
            self._upload(kept)
            self._take_wishes()

    def _take_wishes(self) -> None:
        while self._new:
            if self._outbox.add(self._new.popleft(), time.monotonic()):
                self._post(UploadFailed("too many wait for the network, the oldest is dropped", is_kept=False))
        # Behind that, and before anything is sent: what is asked for after its own question would end that one.
        if self._wants_silence:
            self._wants_silence = False
            self._silence()

    def _silence(self) -> None:
        try:
            answer = self._link.ask("POST", "/interrupt", timeout_s=10)
            cancelled = answer.json()["cancelled"] if answer.ok else []
            self._on_cancelled([str(turn) for turn in cancelled])
        except (Trouble, ValueError, KeyError, TypeError):
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
            turn = self._ask_for_turn(params, data)
        except Lost as error:
            wait_s = error.retry_after_s if isinstance(error, Busy) else 0.0
            was_taken = was_complete and not isinstance(error, Busy)
            is_kept = self._outbox.failed(kept, time.monotonic(), wait_s, was_taken)
            self._post(UploadFailed(str(error), is_kept))
        except Trouble as error:
            self._outbox.sent(kept)
            self._post(UploadFailed(str(error), is_kept=False))
        else:
            self.last_upload_s = time.monotonic()
            self._outbox.sent(kept)
            self._post(Uploaded(turn))

    def _ask_for_turn(self, params: dict[str, str], data: Any) -> str:
        response = self._link.ask("POST", "/upload", params, data=data, headers=HEADERS)
        try:
            return str(response.json()["turn"])
        except (ValueError, KeyError, TypeError):
            raise self._link.stranger(response) from None
