"""What is heard: every window goes to level, ring, voice detector and wake engines, and becomes events."""

from __future__ import annotations

from collections import deque

from clients.device.detector import Detector
from clients.device.endpoint import FRAME_MS, Endpointer, Vad, make_vad
from clients.device.level import rms
from clients.device.ring import Ring
from clients.device.settings import RecordingSettings, Settings
from clients.device.steps import Event, SpeechBegan, UtteranceEnded, WakeHeard
from clients.device.utterance import Utterance
from clients.device.wake import WakeEngine
from clients.device.windows import SAMPLE_RATE, WINDOW_S, Windows

RING_S = 10.0
ECHO_S = 0.4
"""The room still has the device's own voice when the speaker has stopped."""


class Ear:
    """Belongs to one thread.  Its clock is the sound itself, so that a file read fast is heard as it was spoken."""

    def __init__(self, settings: Settings, engines: list[WakeEngine], guards: list[WakeEngine]) -> None:
        self.ring = Ring(RING_S, SAMPLE_RATE)
        self.rms = 0.0
        self.utterance: Utterance | None = None
        "What is being recorded."
        self._endpointer: Endpointer | None = None
        self._probabilities: deque[float] = deque(maxlen=round(RING_S * 1000 / FRAME_MS))
        self._own_voice: Windows | None = None
        self._now_s = 0.0
        self._quiet_at_s = 0.0
        "When the device's own voice is gone from the room."
        self.configure(settings, engines, guards)

    def configure(self, settings: Settings, engines: list[WakeEngine], guards: list[WakeEngine]) -> None:
        """Take other settings from the next window on.

        engines: loaded, for the microphone; guards: the same once more, for the device's own voice.
        """
        self._settings = settings
        self._engines, self._guards = engines, guards
        thresholds = {name: value for engine in engines for name, value in engine.thresholds.items()}
        if not hasattr(self, "_detector"):
            self._detector = Detector(settings.wake, thresholds)
            self._vad: Vad = make_vad(settings.recording.vad)
            self._vad_name = settings.recording.vad
        self._detector.configure(settings.wake, thresholds)
        if settings.recording.vad != self._vad_name:
            self._vad = make_vad(settings.recording.vad)
            self._vad_name = settings.recording.vad

    # ---- the microphone ----------------------------------------------------------------------------------------------

    def feed(self, window: bytes, is_playing: bool) -> list[Event]:
        """Take a window of the microphone and return what happened in it."""
        self._now_s += WINDOW_S
        if is_playing:
            self._quiet_at_s = self._now_s + ECHO_S
        is_own_voice = self._now_s < self._quiet_at_s
        self.rms = rms(window)
        self.ring.write(window)
        probabilities = self._vad.feed(window, learns=self.utterance is None and not is_own_voice)
        self._probabilities.extend(probabilities)
        scores = {name: score for engine in self._engines for name, score in engine.feed(window).items()}
        found = self._detector.feed(scores, self.rms, is_own_voice, self._now_s)
        return [*self._follow_speech(window, probabilities, is_own_voice), *(WakeHeard(each) for each in found)]

    def _follow_speech(self, window: bytes, probabilities: list[float], is_own_voice: bool) -> list[Event]:
        if self.utterance is not None:
            return self._follow_utterance(self.utterance, window, probabilities)
        if self._settings.mode != "hands_free":
            return []
        if self._endpointer is None or is_own_voice:
            self._endpointer = Endpointer(self._settings.recording, after_wake=False)
        if self._endpointer.feed(probabilities) == "no-speech":
            self._endpointer = None
        return [SpeechBegan()] if self._endpointer and self._endpointer.has_started else []

    def _follow_utterance(self, utterance: Utterance, window: bytes, probabilities: list[float]) -> list[Event]:
        utterance.add(window)
        if self._endpointer is None:
            # The button ends it, or this.
            is_too_long = utterance.duration_s >= self._settings.recording.max_utterance_s
            return [UtteranceEnded("too-long")] if is_too_long else []
        had_started = self._endpointer.has_started
        end = self._endpointer.feed(probabilities)
        began = [SpeechBegan()] if self._endpointer.has_started and not had_started else []
        return [*began, *([UtteranceEnded(end)] if end else [])]

    def begin(self, after_wake: bool) -> Utterance:
        """Begin an utterance with the sound from before, the newest window included."""
        settings = self._settings.recording
        self.utterance = Utterance()
        self.utterance.add(self.ring.read_last(pre_roll_s(settings, after_wake, list(self._probabilities))))
        if self._settings.mode == "push_to_talk":
            self._endpointer = None
        elif self._endpointer is None or after_wake:
            self._endpointer = Endpointer(settings, after_wake)
        return self.utterance

    def end(self) -> None:
        """The utterance is over."""
        if self.utterance is not None:
            self.utterance.finish()
        self.utterance = self._endpointer = None

    def break_off(self) -> None:
        """Forget what was heard: what comes next does not follow on it."""
        self.ring.clear()
        self._probabilities.clear()
        for engine in self._engines:
            engine.reset()

    # ---- the device's own voice --------------------------------------------------------------------------------------

    def hear_own_voice(self, pcm16: bytes, sample_rate: int) -> None:
        """Take what the speaker plays, so that a wake word in it wakes nobody."""
        if self._own_voice is None:
            self._own_voice = Windows(sample_rate, 1)
            for engine in self._guards:
                engine.reset()
        for window in self._own_voice.feed(pcm16):
            for engine in self._guards:
                self._detector.hear_own_voice(engine.feed(window), self._now_s)

    def own_voice_ended(self) -> None:
        """The next thing that the speaker plays does not follow on the last."""
        self._own_voice = None


def pre_roll_s(settings: RecordingSettings, after_wake: bool, probabilities: list[float]) -> float:
    """Return how much sound from before belongs to an utterance.

    An engine is sure a little after the word has ended.  A question in the same breath has begun by then, and the word
    itself is not part of it: recognisers make words of it.  So the sound goes back to the newest pause, and at most as
    far as the word's end may lie.
    """
    if settings.sends_wake_word or not after_wake:
        return settings.pre_roll_ms / 1000
    n_frames = round(min(settings.wake_tail_ms, settings.pre_roll_ms) / FRAME_MS)
    newest = probabilities[-n_frames:] if n_frames else []
    for n_back in range(1, len(newest)):
        pair = newest[-n_back - 1 :][:2]
        if max(pair) < settings.threshold:
            return (n_back + 1) * FRAME_MS / 1000
    return n_frames * FRAME_MS / 1000
