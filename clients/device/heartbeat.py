"""The sign of life: what the device is and how it is, told to the service again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from clients.device import VERSION
from clients.device.courier import utc_text
from clients.device.health import Backoff
from clients.device.link import Busy, Link
from clients.device.settings import Settings, WakeModel
from clients.device.worker import Worker
from clients.service import Trouble

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0
MAX_REMEMBERED = 3600
"""Wake words of the last hour that are counted."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How the device is."""

    state: str
    level_dbfs: float
    n_overflows: int
    "Chunks of sound that were lost since the start."
    n_restarts: int
    "How often the microphone was opened again."
    is_muted: bool
    n_kept: int
    "Utterances that the service does not have yet."
    uptime_s: float


class WakeCounts:
    """Who was called, how often and when."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._last: dict[str, datetime] = {}
        self._hour: deque[datetime] = deque(maxlen=MAX_REMEMBERED)

    def add(self, name: str, at: datetime) -> None:
        """Count a wake word."""
        self._counts[name] = self._counts.get(name, 0) + 1
        self._last[name] = at
        self._hour.append(at)

    def describe(self, model: WakeModel) -> dict[str, Any]:
        """Return a model as heartbeats tell it."""
        told: dict[str, Any] = {
            "name": model.name,
            "topic": model.topic,
            "type": "wake_word",
            "status": "active" if model.enabled else "inactive",
            "wake_word": model.name,
            "trigger_count": self._counts.get(model.name, 0),
            "metadata": {
                "wake_word": model.name,
                "trigger_phrase": model.name.replace("_", " "),
                "sensitivity": 0.5 if model.threshold is None else model.threshold,
            },
        }
        if model.name in self._last:
            told["last_triggered"] = utc_text(self._last[model.name])
        return told

    def summary(self, now: datetime) -> dict[str, Any]:
        """Return the figures over all models."""
        recent = sum(at > now - timedelta(hours=1) for at in list(self._hour))
        return {"activations_1h": recent, "last_activation": utc_text(self._hour[-1]) if self._hour else None}


def heartbeat_body(settings: Settings, counts: WakeCounts, condition: Condition, now: datetime) -> dict[str, Any]:
    """Return one sign of life."""
    return {
        "instance_id": settings.instance,
        "source": "earshot_device",
        "timestamp": utc_text(now),
        "models": [counts.describe(model) for model in settings.wake.models],
        "metrics": {**counts.summary(now), "overflows": condition.n_overflows, "level_dbfs": condition.level_dbfs},
        "state": condition.state,
        "level_dbfs": condition.level_dbfs,
        "overflows": condition.n_overflows,
        "restarts": condition.n_restarts,
        "is_muted": condition.is_muted,
        "kept_utterances": condition.n_kept,
        "uptime_s": round(condition.uptime_s),
        "client_version": VERSION,
        "session": settings.session,
    }


class Heartbeat(Worker):
    """One thread that tells the service how the device is; failures make it wait longer, and are told once."""

    def __init__(
        self, settings: Settings, make_body: Callable[[datetime], dict[str, Any]], tell: Callable[[str], object]
    ) -> None:
        super().__init__("heartbeat")
        self._settings = settings
        self._link = Link(settings)
        self._make_body = make_body
        self._tell = tell
        self._trouble = ""
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)

    def configure(self, settings: Settings) -> None:
        """Take other settings, and try them at once."""
        self._settings = settings
        self._link.configure(settings)
        self._backoff.worked()
        self.wake()

    def news(self) -> None:
        """Tell at once that the device is otherwise, unless the service is being waited for."""
        if not self._trouble:
            self.wake()

    def step(self) -> float:
        """Send a sign of life where that is wanted; return how long to wait before the next."""
        return self.beat() if self._settings.heartbeat.enabled else 3600.0

    def beat(self) -> float:
        """Send one sign of life; return how long to wait before the next."""
        try:
            body = self._make_body(datetime.now(timezone.utc))
            answer = self._link.ask("POST", "/heartbeat", timeout_s=10, json=body, to=self._settings.heartbeat.url)
            # Some services tell of failures with a good status.
            why = _complaint(answer)
        except Trouble as error:
            why = str(error)
            wait_s = error.retry_after_s if isinstance(error, Busy) else 0.0
        else:
            wait_s = 0.0
        if why and why != self._trouble:
            self._tell(f"the heartbeat is not taken: {why}")
        elif self._trouble and not why:
            self._tell("the heartbeat is taken again")
        self._trouble = why
        if why:
            return max(wait_s, self._backoff.failed())
        self._backoff.worked()
        return self._settings.heartbeat.every_s


def _complaint(answer: Any) -> str:
    try:
        told = answer.json()
    except ValueError:
        return ""
    is_bad = isinstance(told, dict) and told.get("status") == "error"
    return str(told.get("message") or "error") if is_bad else ""
