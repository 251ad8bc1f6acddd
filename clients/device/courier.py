"""Messages to webhooks, from a thread of its own: what hangs or fails there is never in the way of listening."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import requests

from clients.device.detector import Detection
from clients.device.health import Backoff
from clients.device.settings import WebhookSettings
from clients.device.worker import Worker

MAX_WAITING = 100
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0


@dataclass(slots=True)
class Letter:
    """A message that waits for its time."""

    url: str
    body: dict[str, Any]
    due_s: float
    n_tries: int = 0
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_WAIT_S, LONGEST_WAIT_S))


class Courier(Worker):
    """Posts JSON, and again with growing waits when it is not taken; the oldest goes when too many wait."""

    def __init__(self, settings: WebhookSettings, tell: Callable[[str], object]) -> None:
        super().__init__("courier")
        self._settings = settings
        self._tell = tell
        self._waiting: list[Letter] = []
        self._lock = threading.Lock()

    def configure(self, settings: WebhookSettings) -> None:
        """Take other settings from the next message on."""
        self._settings = settings

    def post(self, url: str, body: dict[str, Any]) -> None:
        """Send a message; never waits."""
        with self._lock:
            self._waiting.append(Letter(url, body, time.monotonic()))
            del self._waiting[:-MAX_WAITING]
        self.wake()

    @property
    def n_waiting(self) -> int:
        """Messages that wait."""
        return len(self._waiting)

    def step(self) -> float:
        """Deliver what is due; what waits when the device ends is dropped."""
        while not self.is_stopping and (letter := self._take_due()) is not None:
            self._deliver(letter)
        return 0.5

    def _take_due(self) -> Letter | None:
        now_s = time.monotonic()
        with self._lock:
            letter = next((each for each in self._waiting if each.due_s <= now_s), None)
            if letter is not None:
                self._waiting.remove(letter)
            return letter

    def _deliver(self, letter: Letter) -> None:
        try:
            # Its answer is not read: it may have no end.
            with requests.post(letter.url, json=letter.body, timeout=self._settings.timeout_s, stream=True) as response:
                status = response.status_code
            why = "" if response.ok else f"status {status}"
            is_final = 400 <= status < 500 and status not in (408, 429)
        except (requests.ConnectionError, requests.Timeout) as error:
            why, is_final = type(error).__name__, False
        except (requests.RequestException, UnicodeError, ValueError) as error:
            why, is_final = str(error), True
        if not why:
            return
        letter.n_tries += 1
        if is_final or letter.n_tries >= self._settings.tries:
            self._tell(f"a webhook was not told of a wake word ({why}, {letter.n_tries} tries): check its webhook_url")
            return
        letter.due_s = time.monotonic() + letter.backoff.failed()
        with self._lock:
            self._waiting.append(letter)


def webhook_body(detection: Detection, at: datetime) -> dict[str, Any]:
    """Return what a webhook is told of a wake word: numbers are plain, whatever the engine gives.

    at: when, with its time zone.
    """
    return {
        "wake_word": detection.model.name,
        "confidence": float(detection.score),
        "threshold": float(detection.threshold),
        "timestamp": at.timestamp(),
        "model_name": detection.model.name,
        "all_scores": {name: float(score) for name, score in detection.scores.items()},
        "topic": detection.model.topic,
        "multi_trigger": detection.is_multi,
    }


def utc_text(at: datetime) -> str:
    """Return a time as ISO 8601 in UTC, ending in Z; it must know its time zone."""
    assert at.tzinfo is not None
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
