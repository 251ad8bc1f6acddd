"""What travels between the hub and the stage workers: frozen, self-contained, plain data.

Times are `time.monotonic()` seconds, which all processes of one machine share.  The classes have no slots: a frozen
dataclass with slots pickles field by field in Python, several times as slowly.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Header:
    """Says which work a message belongs to."""

    session_id: str
    turn_id: str
    generation: int = 0
    "Raised when the turn is cancelled or a step is done again; work of an older generation is dropped."
    created_at_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Message:
    """The base of all messages."""

    header: Header


# ---- hub -> stage: each opens one job -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Utterance(Message):
    """User speech. When `is_complete` is false, UtteranceChunk messages follow."""

    pcm16: bytes
    "At `app.audio.pcm.SPEECH_RATE_HZ`."
    is_complete: bool = True


@dataclass(frozen=True)
class UtteranceChunk(Message):
    """More speech of an utterance that is still arriving."""

    pcm16: bytes
    is_last: bool = False


@dataclass(frozen=True)
class ChatMessage:
    """One entry of the conversation so far."""

    role: str
    "`system`, `user` or `assistant`."
    text: str


@dataclass(frozen=True)
class RunningTimer:
    """A timer that the hub will let ring."""

    name: str
    "What the user called it; empty when it has no name."
    duration_s: float
    left_s: float


@dataclass(frozen=True)
class Prompt(Message):
    """What the language model answers."""

    messages: tuple[ChatMessage, ...]
    "System prompt first when there is one, the user's words last."
    timers: tuple[RunningTimer, ...] = ()
    last_reply: str = ""
    "What was last said to this user, for `say that again`."
    options: dict[str, object] = field(default_factory=dict)
    "Per-session settings such as `model` or `temperature`; a backend takes those it knows."
    characters: tuple[str, ...] = ()
    "Who may speak in the reply; what is said before the first name is the first one's."


@dataclass(frozen=True)
class Sentence(Message):
    """One piece of the reply: what the llm stage gives and the tts stage takes."""

    index: int
    text: str
    "As it is spoken: no Markdown, no emoji."
    voice: str = ""
    "`backend` or `backend/voice`, which is asked before the others; empty for the default."
    character: str = ""
    "Who says it; empty when there are no characters."


# ---- stage -> hub ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transcript(Message):
    """The user's words."""

    text: str
    is_final: bool
    language: str = ""
    "BCP 47 tag when the recogniser says one."


@dataclass(frozen=True)
class Action(Message):
    """Something the reply does besides being spoken; the hub carries it out."""

    name: str
    "`set-timer`, `cancel-timers`."
    arguments: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeechChunk(Message):
    """Spoken audio of one sentence, in order."""

    sentence_index: int
    pcm16: bytes
    sample_rate: int


@dataclass(frozen=True)
class Analysis(Message):
    """What an analyser heard in the utterance."""

    analyser: str
    scores: dict[str, float | None]
    "A missing score is None, never 0.  Names carry their unit."


@dataclass(frozen=True)
class Mark(Message):
    """A moment worth showing in the turn's waterfall; its time is the header's `created_at_s`."""

    name: str


@dataclass(frozen=True)
class StageDone(Message):
    """The job is finished; no more of it follows."""

    stage: str


@dataclass(frozen=True)
class StageFailed(Message):
    """The job could not be done; no more of it follows."""

    stage: str
    code: str
    message: str
