"""Endpointing: where an utterance begins and ends.  No clock and no audio: only probabilities of windows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from app.audio.windows import WINDOW_MS

HYSTERESIS = 0.15
"""So much less sure than `threshold` may the detector be within an utterance: voices fade at the end of words."""

FORGET_MS = 320.0
"""After so much silence nothing is left of a beginning: longer than the stops within a word."""

RESUME_MS = 64.0
"""So much speech ends a pause; a lone window is a click."""

MAX_ONSET_MS = 5000.0
"""An utterance reaches back at most so far from where it was noticed."""

SHORTEST_PAUSE_MS = 128.0
"""Shorter pauses are the stops of consonants, and say nothing about a speaker's hesitation."""

PAUSE_FACTOR = 1.5
"""The silence that ends an utterance, in usual pauses of the speaker."""

SHORTER_WEIGHT = 0.1
LONGER_WEIGHT = 0.5
"""How much one pause counts against those before.  To cut somebody off is worse than to wait, and pauses that were too
long to be heard as such are missing: so the limit rises fast and falls slowly.

Idea: the exponential filter (alpha 0.9) of dynamic endpointing in LiveKit Agents, voice/endpointing.py, 2026.
"""


class Endpoint(Enum):
    """What a window changed."""

    NONE = auto()
    STARTED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """When an utterance begins and ends; the fields are settings of `listening`."""

    threshold: float = 0.5
    "How sure the detector must be that a window is speech."
    start_ms: float = 96.0
    "So much speech begins an utterance, in milliseconds."
    silence_ms: float = 600.0
    "So much silence ends an utterance, in milliseconds."
    max_utterance_s: float = 30.0
    "A longer utterance is ended, in seconds."
    adaptive_silence: bool = False
    "Whether silence_ms follows the pauses of the speaker."
    min_silence_ms: float = 350.0
    "The shortest silence that adaptive_silence comes to, in milliseconds."
    max_silence_ms: float = 1500.0
    "The longest silence that adaptive_silence comes to, in milliseconds."


class Endpointer:
    """Follows one microphone window by window."""

    def __init__(self, rules: EndpointRules, window_ms: float = WINDOW_MS) -> None:
        self.rules = rules
        """May be replaced at any time, within an utterance too."""
        self.window_ms = window_ms
        self.usual_pause_ms: float | None = None
        """The pauses of this speaker, once one was heard; `reset` keeps it."""
        self.in_speech = False
        self.was_too_long = False
        """Whether the last utterance was ended by `max_utterance_s`."""
        self.speech_ms = 0.0
        """Speech of this utterance, or of what may become one."""
        self.utterance_ms = 0.0
        """Since the first speech of it: at STARTED, how far back it began."""
        self.pause_ms = 0.0
        """Silence at the end of it so far."""
        self._resumed_ms = 0.0
        """Speech after that silence, not yet enough to end it."""

    def reset(self) -> None:
        """Forget the utterance in progress, but not how the speaker pauses."""
        self.in_speech = self.was_too_long = False
        self._clear()

    @property
    def silence_ms(self) -> float:
        """So much silence ends an utterance now."""
        rules = self.rules
        if not rules.adaptive_silence:
            return rules.silence_ms
        wanted = rules.silence_ms if self.usual_pause_ms is None else PAUSE_FACTOR * self.usual_pause_ms
        return min(max(wanted, rules.min_silence_ms), rules.max_silence_ms)

    def push(self, probability: float, start_ms: float | None = None) -> Endpoint:
        """Take the next window and say what it changed.

        `start_ms` stands in for that of the rules during this window; `math.inf` begins nothing, but what is said
        counts as soon as a window comes with a limit again.
        """
        if self.in_speech:
            return self._go_on(probability)
        return self._begin(probability, self.rules.start_ms if start_ms is None else start_ms)

    def stop(self) -> Endpoint:
        """End the utterance in progress now: STOPPED, or NONE where there is none."""
        was_in_speech = self.in_speech
        self.reset()
        return Endpoint.STOPPED if was_in_speech else Endpoint.NONE

    def resumed_after(self, silence_ms: float) -> None:
        """Learn that the last utterance was cut off: the speaker went on after so much silence."""
        if silence_ms < SHORTEST_PAUSE_MS:
            return
        usual_ms = self.rules.silence_ms / PAUSE_FACTOR if self.usual_pause_ms is None else self.usual_pause_ms
        weight = LONGER_WEIGHT if silence_ms > usual_ms else SHORTER_WEIGHT
        self.usual_pause_ms = usual_ms + weight * (silence_ms - usual_ms)

    def _begin(self, probability: float, start_ms: float) -> Endpoint:
        """Count towards a beginning: a dropout takes away what it lasted, what is in doubt counts neither way."""
        is_speech = probability >= self.rules.threshold
        self.utterance_ms += self.window_ms
        if is_speech:
            self.speech_ms += self.window_ms
            self.pause_ms = 0.0
        else:
            self.pause_ms += self.window_ms
            if not self._may_be_speech(probability):
                self.speech_ms -= self.window_ms
            if self.speech_ms <= 0 or self.pause_ms >= FORGET_MS:
                self._clear()
        if not is_speech or self.speech_ms < start_ms:
            return Endpoint.NONE
        self.utterance_ms = min(self.utterance_ms, MAX_ONSET_MS)
        self.in_speech = True
        return Endpoint.STARTED

    def _go_on(self, probability: float) -> Endpoint:
        """Follow an utterance until its silence or its length ends it."""
        self.utterance_ms += self.window_ms
        if self._may_be_speech(probability):
            self._hear_speech()
            is_over = False
        else:
            self.pause_ms += self._resumed_ms + self.window_ms
            self._resumed_ms = 0.0
            is_over = self.pause_ms >= self.silence_ms
        is_too_long = self.utterance_ms >= 1000 * self.rules.max_utterance_s
        if not (is_over or is_too_long):
            return Endpoint.NONE
        self.stop()
        self.was_too_long = not is_over
        return Endpoint.STOPPED

    def _hear_speech(self) -> None:
        self.speech_ms += self.window_ms
        if not self.pause_ms:
            return
        self._resumed_ms += self.window_ms
        if self._resumed_ms >= RESUME_MS:
            self.resumed_after(self.pause_ms)
            self.pause_ms = self._resumed_ms = 0.0

    def _may_be_speech(self, probability: float) -> bool:
        return probability >= max(self.rules.threshold - HYSTERESIS, self.rules.threshold / 2)

    def _clear(self) -> None:
        self.speech_ms = self.utterance_ms = self.pause_ms = self._resumed_ms = 0.0
