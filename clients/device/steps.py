"""What can happen to a device, and what it can do: the events and actions of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clients.device.detector import Detection
from clients.device.endpoint import End

State = Literal["listening", "recording", "waiting", "speaking", "recovering"]
ToneName = Literal["wake", "end", "failure"]

# ---- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WakeHeard:
    """A wake word was said."""

    detection: Detection


@dataclass(frozen=True, slots=True)
class ButtonPressed:
    """The user wants to begin or to end."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Somebody speaks: in what is recorded, or out of the blue where no wake word is asked for."""


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """The utterance that is recorded is over."""

    why: End


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The service has taken an utterance."""

    turn: str


@dataclass(frozen=True, slots=True)
class UploadFailed:
    """The service has not taken an utterance."""

    why: str
    is_kept: bool
    "Whether it will be sent again."


@dataclass(frozen=True, slots=True)
class PlayingBegan:
    """Sound of a reply is heard."""


@dataclass(frozen=True, slots=True)
class PlayingEnded:
    """All sound that is there was heard."""


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The service says that a turn is over."""

    turn: str
    has_sound: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The microphone is away."""

    why: str


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The microphone is back."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes."""


Event = (
    WakeHeard | ButtonPressed | SpeechBegan | UtteranceEnded | Uploaded | UploadFailed
    | PlayingBegan | PlayingEnded | ReplyEnded | StreamLost | StreamOpened | Tick
)  # fmt: skip


# ---- actions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """Begin to keep an utterance."""

    after_wake: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Let the utterance go to the service while it is spoken."""


@dataclass(frozen=True, slots=True)
class Finish:
    """End the utterance; what is not being sent is forgotten."""


@dataclass(frozen=True, slots=True)
class BeSilent:
    """Drop what is played and what is in line, and tell the service to stop."""

    turn: str
    "Whose answer was waited for; empty when that is not known."


@dataclass(frozen=True, slots=True)
class PlayTone:
    """Let the user hear where we are."""

    name: ToneName


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """Tell others of a wake word."""

    detection: Detection


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something in the log."""

    line: str


Action = Record | Send | Finish | BeSilent | PlayTone | CallWebhook | Tell
