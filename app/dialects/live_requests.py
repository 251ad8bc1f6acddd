"""What a live client sends, checked: text frames become requests, the settings of a microphone its rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from app.audio.codecs import MAX_PLAY_RATE_HZ, MIN_PLAY_RATE_HZ
from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ, duration_s
from app.config import ListeningConfig
from app.conversation.microphone import Mode
from app.errors import BadAudio, BadRequest, BadSettings, ConfigError
from app.settings import build_config, show, suggest

TYPES = ("user_message", "start_listening", "stop_listening", "model_settings", "interrupt", "ping", "pong")
MAX_TEXT_CHARS = 4000
MIN_FRAME_S = 0.01
MAX_FRAME_S = 0.5
PER_CONNECTION = (
    "threshold", "start_ms", "silence_ms", "adaptive_silence", "max_utterance_s", "pre_roll_ms",
    "interrupt_thinking_ms", "interrupt_speaking_ms",
)  # fmt: skip
"""Settings of `listening` that a connection may have of its own."""


class BadMessage(BadRequest):
    """A text frame that is no message of ours."""

    code = "bad-message"


@dataclass(frozen=True, slots=True)
class Request:
    """One message of the client."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MicrophoneSettings:
    """What `start_listening` asks for."""

    rules: ListeningConfig
    sample_rate: int = SPEECH_RATE_HZ
    mode: Mode = "hands_free"


def read_request(text: str) -> Request:
    """Return the message in a text frame; raises BadMessage."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("a text frame must be JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise BadMessage('a message must be a JSON object with a type, such as {"type": "ping"}')
    if message["type"] not in TYPES:
        raise BadMessage(f"type: no message {message['type'][:40]!r}; {suggest(message['type'][:40], TYPES)}")
    data = message.get("data")
    if data is not None and not isinstance(data, dict):
        raise BadMessage(f"data: is {show(data, 'data')}; allowed is an object")
    return Request(message["type"], data or {})


def read_text(data: Mapping[str, Any]) -> str:
    """Return the words of a typed message; raises BadMessage."""
    text = data.get("text")
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_TEXT_CHARS:
        raise BadMessage(f"data.text: allowed is a text of 1 to {MAX_TEXT_CHARS} characters")
    return text.strip()


def read_microphone(data: Mapping[str, Any], defaults: ListeningConfig) -> MicrophoneSettings:
    """Return how the connection wants to be listened to; raises BadSettings."""
    own = dict(data)
    rate, mode = own.pop("rate", SPEECH_RATE_HZ), own.pop("mode", "hands_free")
    if isinstance(rate, bool) or not isinstance(rate, int) or not MIN_PLAY_RATE_HZ <= rate <= MAX_PLAY_RATE_HZ:
        allowed = f"a whole number from {MIN_PLAY_RATE_HZ} to {MAX_PLAY_RATE_HZ}"
        raise BadSettings(f"rate: is {show(rate, 'rate')}; allowed is {allowed}")
    if mode not in get_args(Mode):
        raise BadSettings(f"mode: is {show(mode, 'mode')}; allowed is {' or '.join(get_args(Mode))}")
    if unknown := next((name for name in own if name not in PER_CONNECTION), None):
        raise BadSettings(
            f"{unknown[:40]}: no such setting; {suggest(unknown[:40], ('rate', 'mode', *PER_CONNECTION))}"
        )
    try:
        checked = build_config(ListeningConfig, own, "listening")
    except ConfigError as error:
        raise BadSettings(error.message.removeprefix("listening.")) from None
    rules = replace(defaults, **{name: getattr(checked, name) for name in own})
    return MicrophoneSettings(rules, rate, mode)


def own_settings(config: ListeningConfig) -> dict[str, object]:
    """Return the defaults of what a connection may set."""
    return {"rate": SPEECH_RATE_HZ, "mode": "hands_free", **{n: asdict(config)[n] for n in PER_CONNECTION}}


def check_frame(pcm16: bytes, sample_rate: int) -> None:
    """Raise BadAudio unless a binary frame is PCM16 of an allowed length."""
    if len(pcm16) % BYTES_PER_SAMPLE:
        raise BadAudio(f"a binary frame of {len(pcm16)} bytes is no PCM16, which has two bytes a sample")
    length_s = duration_s(pcm16, sample_rate)
    if not MIN_FRAME_S <= length_s <= MAX_FRAME_S:
        text = f"a binary frame of {length_s * 1000:.0f} ms at {sample_rate} Hz; allowed are 10 to 500 ms"
        raise BadAudio(text)
