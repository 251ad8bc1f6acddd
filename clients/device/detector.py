"""Which scores of the engines are a wake word that somebody said, once each time.  Pure: the caller has the clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from clients.device.settings import WakeModel, WakeSettings
from clients.device.windows import WINDOW_S

SAME_WORD_S = 1.0
"""What other models hear so soon after a wake word is the same word."""
LEVEL_S = 1.0
"""How far back the loudest window may lie: a score comes behind its word."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A wake word was said."""

    model: WakeModel
    score: float
    threshold: float
    scores: dict[str, float]
    "Of all models at that moment, as plain numbers."
    is_multi: bool
    "Whether others may have been told for the same word."


class Detector:
    """Weighs scores with thresholds, cooldown, level and the device's own voice."""

    def __init__(self, settings: WakeSettings, thresholds: dict[str, float]) -> None:
        self._levels: deque[float] = deque(maxlen=round(LEVEL_S / WINDOW_S))
        self._blocked_until_s: dict[str, float] = {}
        self._is_high: set[str] = set()
        "Models that have not yet come down since they were sure."
        self.configure(settings, thresholds)

    def configure(self, settings: WakeSettings, thresholds: dict[str, float]) -> None:
        """Take other settings from the next window on; what is cooling down keeps cooling.

        thresholds: those of the engines, for models that set none.
        """
        self._settings = settings
        self._models = {model.name: model for model in settings.models if model.enabled}
        self._thresholds = {
            name: thresholds.get(name, 0.5) if model.threshold is None else model.threshold
            for name, model in self._models.items()
        }

    def feed(self, scores: dict[str, float], rms: float, is_speaking: bool, now_s: float) -> list[Detection]:
        """Return who was said in this window: at most one model, unless multi_trigger; the surest first."""
        self._levels.append(rms)
        over = []
        for name, score in scores.items():
            if name not in self._models:
                continue
            threshold = self._threshold(name, is_speaking)
            if score >= threshold:
                if name not in self._is_high and now_s >= self._blocked_until_s.get(name, 0.0):
                    over.append((score, name))
                self._is_high.add(name)
            elif score < threshold / 2:
                # Scores of one word go up and down: below half of it the word is over.
                self._is_high.discard(name)
        if not over or max(self._levels) < self._settings.min_rms:
            return []
        over.sort(reverse=True)
        told = over if self._settings.multi_trigger else over[:1]
        plain = {name: float(score) for name, score in scores.items()}
        found = [self._tell(name, float(score), plain, is_speaking) for score, name in told]
        self._block(found, now_s)
        return found

    def hear_own_voice(self, scores: dict[str, float], now_s: float) -> None:
        """Be deaf for a while to what the device itself is saying."""
        for name, score in scores.items():
            # Half is enough: the same sound may score higher through the room.
            if score >= self._thresholds.get(name, 2.0) / 2:
                self._block_until(name, now_s + self._settings.echo_guard_s)

    def _threshold(self, name: str, is_speaking: bool) -> float:
        threshold = self._thresholds[name]
        if not is_speaking:
            return threshold
        # Whatever is set, a score of 1.0 still counts.
        return threshold + (1 - threshold) * 0.99 * self._settings.threshold_while_speaking

    def _tell(self, name: str, score: float, scores: dict[str, float], is_speaking: bool) -> Detection:
        threshold = self._threshold(name, is_speaking)
        return Detection(self._models[name], score, threshold, scores, self._settings.multi_trigger)

    def _block(self, found: list[Detection], now_s: float) -> None:
        for detection in found:
            self._block_until(detection.model.name, now_s + detection.model.cooldown_s)
        if not self._settings.multi_trigger:
            for name in self._models:
                self._block_until(name, now_s + SAME_WORD_S)

    def _block_until(self, name: str, until_s: float) -> None:
        self._blocked_until_s[name] = max(until_s, self._blocked_until_s.get(name, 0.0))
