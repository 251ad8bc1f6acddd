"""Replies in other languages than English, from Home Assistant's collection of responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from app.intents.grammar import Intent, load_collection
from app.llm.timers import cancel_timer, cancel_timers, start_timer
from app.messages import Action, Prompt, RunningTimer

TIMER_INTENTS = {"HassStartTimer", "HassCancelTimer", "HassCancelAllTimers", "HassTimerStatus"}


class CollectionReplies:
    """Renders the collection's responses; what it has no words for gets its "I did not understand"."""

    def __init__(self, language: str) -> None:
        from jinja2.sandbox import SandboxedEnvironment

        _, collection = load_collection(language)
        self._responses: dict[str, dict[str, str]] = collection["responses"]["intents"]
        self._errors: dict[str, str] = collection["responses"]["errors"]
        self._environment = SandboxedEnvironment()

    def render(self, intent: Intent, time: datetime, timers: Sequence[RunningTimer] = ()) -> str:
        """Speak the response that belongs to an intent, empty when the collection has none that can be spoken."""
        template = self._responses.get(intent.name, {}).get(intent.response or "default", "")
        slots: dict[str, Any] = {name: str(value) for name, value in intent.slots.items()}
        slots |= {"time": time, "date": time.date(), "timers": [_timer_facts(t) for t in timers]}
        slots["canceled"] = len(timers)
        try:
            text = self._environment.from_string(template).render(slots=slots, state=None, query=None)
        except Exception:  # a response that wants facts of a running Home Assistant fails in any way Jinja2 can fail
            return ""
        return " ".join(text.split())

    def reply_about_timers(
        self, intent: Intent, prompt: Prompt, time: datetime, max_timer_s: float
    ) -> Iterator[str | Action]:
        """Start, cancel or tell timers as in English, in the words of the collection."""
        changes: Iterator[str | Action] = iter(())
        if intent.name == "HassStartTimer":
            changes = start_timer(prompt.header, intent.slots, max_timer_s)
        elif intent.name == "HassCancelTimer":
            changes = cancel_timer(prompt.header, intent.slots, prompt.timers)
        elif intent.name == "HassCancelAllTimers":
            changes = cancel_timers(prompt.header, prompt.timers)
        actions = [change for change in changes if isinstance(change, Action)]
        yield from actions
        if actions or intent.name == "HassTimerStatus":
            yield self.render(intent, time, prompt.timers)
        elif intent.name == "HassStartTimer":
            yield self.sorry("handle_error")
        else:
            yield self.sorry("multiple_timers_matched" if len(prompt.timers) > 1 else "timer_not_found")

    def sorry(self, reason: str) -> str:
        """Say that it did not work; reason: a key of the collection's errors."""
        return self._errors.get(reason) or self._errors.get("no_intent", "")


def _timer_facts(timer: RunningTimer) -> dict[str, Any]:
    minutes, seconds = divmod(round(timer.left_s), 60)
    start_minutes, start_seconds = divmod(round(timer.duration_s), 60)
    return {
        "is_active": True,
        "name": timer.name,
        "area": "",
        "total_seconds_left": timer.left_s,
        "rounded_hours_left": minutes // 60,
        "rounded_minutes_left": minutes % 60,
        "rounded_seconds_left": seconds,
        "start_hours": start_minutes // 60,
        "start_minutes": start_minutes % 60,
        "start_seconds": start_seconds,
    }
