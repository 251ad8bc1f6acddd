"""What the device does next: events in, actions out.  Pure: it has no clock, no thread and no sound."""

from __future__ import annotations

from collections import deque

from clients.device.detector import Detection
from clients.device.settings import Settings
from clients.device.steps import (
    Action,
    BeSilent,
    ButtonPressed,
    CallWebhook,
    Event,
    Finish,
    PlayingBegan,
    PlayingEnded,
    PlayTone,
    Record,
    ReplyEnded,
    Send,
    SpeechBegan,
    State,
    StreamLost,
    StreamOpened,
    Tell,
    Tick,
    Uploaded,
    UploadFailed,
    UtteranceEnded,
    WakeHeard,
)

LATE_S = 5.0
"""A recording that lasts so much longer than it may has no sound that could end it."""


class Machine:
    """Knows what is going on; each event gives the actions that follow, in order."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._is_lost = True
        self._recording_since_s: float | None = None
        self._is_sending = False
        self._is_refused = False
        "The service does not want what is being recorded."
        self._is_playing = False
        self._is_asked = False
        "Whether an answer is waited for."
        self._turn = ""
        "Which one, when the service has said so."
        self._patience_until_s = 0.0
        self._ended: deque[ReplyEnded] = deque(maxlen=16)
        "Ends that came before we knew the turn."

    @property
    def state(self) -> State:
        """What the device is doing."""
        if self._is_lost:
            return "recovering"
        if self._recording_since_s is not None:
            return "recording"
        if self._is_playing:
            return "speaking"
        return "waiting" if self._is_asked else "listening"

    @property
    def is_playing(self) -> bool:
        """Whether the device's own voice is heard."""
        return self._is_playing

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """Take an event and return what is to be done."""
        match event:
            case WakeHeard(detection):
                return self._woken(detection, now_s)
            case ButtonPressed() if self._recording_since_s is not None:
                return self._finish(now_s)
            case ButtonPressed():
                return self._begin(after_wake=False, now_s=now_s)
            case SpeechBegan():
                return self._spoken(now_s)
            case UtteranceEnded():
                return self._finish(now_s)
            case Uploaded(turn):
                return self._taken(turn, now_s)
            case UploadFailed(why, is_kept):
                return self._not_taken(why, is_kept)
            case ReplyEnded():
                return self._answered(event)
            case PlayingBegan():
                self._is_playing = True
            case PlayingEnded():
                self._is_playing = False
                self._be_patient(now_s)
            case StreamLost(why):
                return self._lose(why, now_s)
            case StreamOpened():
                self._is_lost = False
            case Tick():
                return self._tick(now_s)
        return []

    def _woken(self, detection: Detection, now_s: float) -> list[Action]:
        actions: list[Action] = [Tell(f"wake word {detection.model.name}: {detection.score:.2f}")]
        if detection.model.webhook_url:
            actions.append(CallWebhook(detection))
        if detection.model.stt_enabled and self.settings.mode == "wake":
            actions += self._begin(after_wake=True, now_s=now_s)
        return actions

    def _begin(self, after_wake: bool, now_s: float) -> list[Action]:
        if self._is_lost or self._recording_since_s is not None:
            return []
        actions: list[Action] = (
            [BeSilent(self._turn if self._is_asked else "")] if self._is_playing or self._is_asked else []
        )
        self._is_playing = self._is_asked = False
        self._recording_since_s = now_s
        self._is_sending = not after_wake
        self._is_refused = False
        return [*actions, Record(after_wake), *([Send()] if self._is_sending else []), PlayTone("wake")]

    def _spoken(self, now_s: float) -> list[Action]:
        if self._recording_since_s is None:
            # Without a wake word the device cannot tell a voice from its own.
            is_meant = self.settings.mode == "hands_free" and not self._is_playing
            return self._begin(after_wake=False, now_s=now_s) if is_meant else []
        if self._is_sending:
            return []
        self._is_sending = True
        return [Send()]

    def _finish(self, now_s: float) -> list[Action]:
        if self._recording_since_s is None:
            return []
        self._recording_since_s = None
        if not self._is_sending:
            return [Finish(), PlayTone("end"), Tell("nobody spoke")]
        self._is_asked = not self._is_refused
        self._turn = ""
        self._be_patient(now_s)
        return [Finish(), PlayTone("end")]

    def _taken(self, turn: str, now_s: float) -> list[Action]:
        if self._recording_since_s is not None:
            # A newer question is being asked already.
            return []
        self._is_asked = True
        self._turn = turn
        self._be_patient(now_s)
        early = next((end for end in self._ended if end.turn == turn), None)
        return self._answered(early) if early else []

    def _not_taken(self, why: str, is_kept: bool) -> list[Action]:
        was_asked, self._is_asked = self._is_asked, False
        self._is_refused = not is_kept
        line = f"the question was not taken: {why}" + ("; it is kept and sent again" if is_kept else "")
        return [Tell(line), PlayTone("failure")] if was_asked or not is_kept else []

    def _answered(self, end: ReplyEnded) -> list[Action]:
        self._ended.append(end)
        if not self._is_asked or end.turn != self._turn:
            return []
        self._is_asked = False
        if end.error:
            return [Tell(f"the question failed: {end.error}"), *([] if end.has_sound else [PlayTone("failure")])]
        return [] if end.has_sound else [Tell("nothing was understood"), PlayTone("failure")]

    def _lose(self, why: str, now_s: float) -> list[Action]:
        if self._is_lost:
            return []
        actions = self._finish(now_s)
        self._is_lost = True
        return [Tell(f"the microphone is away ({why}); it is opened again"), *actions]

    def _tick(self, now_s: float) -> list[Action]:
        since_s = self._recording_since_s
        if since_s is not None and now_s - since_s > self.settings.recording.max_utterance_s + LATE_S:
            return self._finish(now_s)
        if self._is_asked and not self._is_playing and now_s >= self._patience_until_s:
            self._is_asked = False
            return [Tell("no answer came in time"), PlayTone("failure")]
        return []

    def _be_patient(self, now_s: float) -> None:
        self._patience_until_s = now_s + self.settings.server.answer_timeout_s
