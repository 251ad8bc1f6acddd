"""What all sessions of a service share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.config import SessionConfig
from app.conversation.events import Event
from app.conversation.preferences import Choices
from app.conversation.turns import Turn
from app.pipeline.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class SpokenApology:
    """What a device hears when a turn fails; rendered at start, so that it works when the voice is down."""

    text: str
    pcm16: bytes
    sample_rate: int


@dataclass(slots=True)
class Surroundings:
    """What all sessions share."""

    pipeline: Pipeline
    config: SessionConfig
    clock: Callable[[], float]
    on_turn_open: Callable[[Turn], None]
    on_turn_end: Callable[[Turn], None]
    system_prompt: str = ""
    choices: Choices = field(default_factory=Choices)
    "What a session may choose for itself."
    guards_echo: bool = True
    "What the device just played is no utterance."
    apology: SpokenApology | None = None
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    "Told of every event of every session."
