"""The settings of a device: what there is, in which ranges, from a JSON file and the environment."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Annotated, Literal

from clients.device.schema import Range

Share = Annotated[float, Range(0, 1)]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The Earshot service."""

    url: str = "http://127.0.0.1:5000"
    "Where the service answers."
    token: str = field(default="", repr=False)
    "Lets this device in; empty for none."
    session: str = ""
    "Name of the conversation; empty for the token's own, or the name of this machine where there is no token."
    connect_timeout_s: Annotated[float, Range(0.1, 60)] = 5.0
    "How long a connection may take, in seconds."
    answer_timeout_s: Annotated[float, Range(1, 600)] = 60.0
    "How long an answer is waited for after a question, in seconds; then the device listens again."
    keep_utterances: Annotated[int, Range(1, 64)] = 4
    "Utterances that are kept while the network is away; the oldest goes first."
    keep_s: Annotated[float, Range(0, 3600)] = 120.0
    "How long an utterance is kept while the network is away, in seconds."


@dataclass(frozen=True, slots=True)
class MicrophoneSettings:
    """The microphone, and when its stream counts as broken."""

    device: str = ""
    "Its number or part of its name, as in --list-devices; empty for the system's own."
    sample_rate: Annotated[int, Range(0, 192_000)] = 0
    "Hz; 0 for 16000, or the device's own rate when it does not do that."
    channels: Annotated[int, Range(1, 8)] = 1
    "Channels to open; their mean is heard."
    stuck_after_s: Annotated[float, Range(1, 600)] = 3.0
    "A stream without a callback for so long is opened again, in seconds."
    silent_after_s: Annotated[float, Range(1, 86_400)] = 60.0
    "Exact zeros for so long are taken for a muted microphone; the stream is opened again to make sure, in seconds."


@dataclass(frozen=True, slots=True)
class SpeakerSettings:
    """The loudspeaker."""

    device: str = ""
    "Its number or part of its name, as in --list-devices; empty for the system's own."
    sample_rate: Annotated[int, Range(0, 48_000)] = 0
    "Hz, 8000 to 48000; 0 for the device's own."
    volume: Annotated[float, Range(0, 4)] = 1.0
    "Factor on replies."
    tone_volume: Share = 0.2
    "Height of the tones, 0 for none."


@dataclass(frozen=True, slots=True)
class WakeModel:
    """One wake word."""

    name: str = ""
    "What it is called; of a model that comes with the engine: okay_nabu, hey_jarvis, hey_mycroft, alexa."
    engine: Literal["micro", "openwakeword", "scripted"] = "micro"
    "What finds it."
    path: str = ""
    "File of the model: .json for micro, .tflite for openwakeword; empty for the one that comes with the engine."
    enabled: bool = True
    "Whether it is listened for."
    threshold: Share | None = None
    "How sure the engine must be, 0 to 1; null for the model's own."
    cooldown_s: Annotated[float, Range(0, 60)] = 2.0
    "It is not heard again for so long, in seconds."
    topic: str = "general"
    "What heartbeat and webhook call its subject."
    webhook_url: str = field(default="", repr=False)
    "Told when it is heard; empty for nobody."
    stt_enabled: bool = True
    "Whether a question is recorded after it; else only the webhook is told."


@dataclass(frozen=True, slots=True)
class WakeSettings:
    """Wake words."""

    models: tuple[WakeModel, ...] = (WakeModel(name="okay_nabu"),)
    "The wake words."
    multi_trigger: bool = False
    "Whether every wake word over its threshold is told, instead of the surest one."
    min_rms: Annotated[float, Range(0, 5000)] = 10.0
    "Quieter sound wakes nobody: RMS of 16-bit samples."
    threshold_while_speaking: Share = 0.5
    "How much of the distance to certainty is added to thresholds while the device's own voice is heard."
    echo_guard_s: Annotated[float, Range(0, 10)] = 1.5
    "A wake word in the device's own voice is not heard for so long, in seconds; 0 for no such guard."


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """When an utterance begins and ends."""

    vad: Literal["energy", "webrtc"] = "energy"
    "What tells speech from noise; webrtc wants the package webrtcvad-wheels."
    threshold: Annotated[float, Range(0.05, 0.95)] = 0.5
    "How sure the detector must be that a window is speech."
    start_ms: Annotated[float, Range(20, 2000)] = 96.0
    "So much speech begins an utterance, in milliseconds."
    silence_ms: Annotated[float, Range(100, 5000)] = 600.0
    "So much silence ends an utterance, in milliseconds."
    max_utterance_s: Annotated[float, Range(1, 600)] = 30.0
    "A longer utterance is ended, in seconds."
    no_speech_s: Annotated[float, Range(0.5, 60)] = 4.0
    "After a wake word nobody speaks for so long: the device listens again, in seconds."
    pre_roll_ms: Annotated[float, Range(0, 5000)] = 1000.0
    "Sound from before an utterance's beginning that is kept, in milliseconds."
    sends_wake_word: bool = False
    "Whether the pre-roll holds the wake word itself, for servers that want to hear it."
    wake_tail_ms: Annotated[float, Range(0, 5000)] = 300.0
    "Without sends_wake_word: so much from before the moment at which it was recognised is sent, in milliseconds."


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Who is told about wake words."""

    timeout_s: Annotated[float, Range(0.1, 300)] = 5.0
    "How long a webhook may take, in seconds."
    tries: Annotated[int, Range(1, 100)] = 5
    "How often it is called before the message is dropped."


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """The sign of life."""

    enabled: bool = True
    "Whether it is sent."
    every_s: Annotated[float, Range(1, 3600)] = 30.0
    "How often while the state stays as it is, in seconds."
    url: str = ""
    "Where to; empty for /heartbeat of the service."


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    mode: Literal["wake", "push_to_talk", "hands_free"] = "wake"
    "What begins a recording: a wake word, the Enter key, or speech."
    name: str = ""
    "What the device is called in heartbeats; empty for the name of this machine."
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    "How much is told."
    server: ServerSettings = field(default_factory=ServerSettings)
    microphone: MicrophoneSettings = field(default_factory=MicrophoneSettings)
    speaker: SpeakerSettings = field(default_factory=SpeakerSettings)
    wake: WakeSettings = field(default_factory=WakeSettings)
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    heartbeat: HeartbeatSettings = field(default_factory=HeartbeatSettings)

    @property
    def host(self) -> str:
        """The name of this machine in the characters that a session may have."""
        return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in socket.gethostname())[:50]

    @property
    def instance(self) -> str:
        """How heartbeats name this device."""
        return f"earshot-{self.name or self.host}"

    @property
    def session(self) -> str:
        """The session that requests name; empty when the token names it."""
        return self.server.session or ("" if self.server.token else self.host)
