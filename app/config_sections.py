"""The sections of the configuration: what can be set, its meaning, unit and default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from app.settings import Count, CountOrZero, Positive, Range, Seconds, SecondsOrZero


@dataclass(frozen=True, slots=True)
class TokenConfig:
    """Who may use the server, by name; the name is also the session of a device that sends none."""

    token: str = field(repr=False)
    "What the device sends; at least 8 characters without blanks."
    admin: bool = False
    "Whether it sees the events, turns and metrics of all sessions."


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The door: where it listens, who may enter, and when it is full."""

    host: str = "127.0.0.1"
    "The address to listen on; 0.0.0.0 for all."
    port: Annotated[int, Range(0, 65535)] = 5000
    "The TCP port for everything; 0 takes a free one."
    threads: Count = 2048
    "Requests served at once, in threads; each device that waits in GET /audio holds one."
    tokens: dict[str, TokenConfig] = field(default_factory=dict)
    "Name to token; when there is one, every route but /health and the pages wants one."
    open_to_lan: bool = False
    "Whether an address other than the loopback may be used without tokens."
    origins: tuple[str, ...] = ()
    "Other sites whose pages may open the WebSocket, such as https://panel.example.org; this server's own always may."
    max_body_mb: Positive = 25.0
    "The largest request body, in megabytes (1,000,000 bytes)."
    max_utterance_s: Seconds = 60.0
    "The longest utterance, in seconds."
    max_sessions: Count = 5000
    "Sessions alive at once; then new ones are refused with 503."
    max_open_turns: Count = 256
    "Turns in progress or queued, over all sessions; then new ones are refused with 503."
    max_wait_s: Seconds = 10.0
    "Refuse with 503 when a turn would wait longer than this for a stage, in seconds."
    requests_per_minute: CountOrZero = 0
    "Requests of one device in a minute; then 429. 0 for no limit."
    drain_timeout_s: SecondsOrZero = 10.0
    "How long open turns may take to finish when the server stops, in seconds."
    tls_cert: str = ""
    "Path of the certificate chain (PEM); empty for plain HTTP."
    tls_key: str = field(default="", repr=False)
    "Path of the certificate's private key (PEM)."
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    "The least severe log lines to write."


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """One conversation of one device: what it may hold and how long."""

    idle_timeout_s: Seconds = 900.0
    "A session without requests, open turns or timers is cleaned away after this, in seconds."
    max_queued_turns: Count = 8
    "Turns that wait behind the one in progress; then uploads are refused with 429."
    segments_kept_s: SecondsOrZero = 120.0
    "How long the speech of a finished turn can still be fetched, from its end or what was last heard on, in seconds."
    turn_timeout_s: Seconds = 120.0
    "The deadline of a turn, from its start to its last speech, in seconds."
    stall_timeout_s: Seconds = 45.0
    "A turn in which nothing happens for this long is failed, in seconds."
    history_turns: CountOrZero = 10
    "Finished turns that the language model is reminded of."
    max_events: Count = 1000
    "Events kept for readers that come late; the oldest go first."
    apology: str = "Sorry, something went wrong. Please try again."
    "What a device hears when its turn failed; rendered at start. Empty for silence."
    max_timers: CountOrZero = 20
    "Timers that may run at once."
    max_timer_s: Seconds = 86400.0
    "The longest timer, in seconds."


@dataclass(frozen=True, slots=True)
class ListeningConfig:
    """Live microphones: when an utterance begins and ends, and what interrupts a reply."""

    vad: Literal["auto", "silero", "webrtc"] = "auto"
    "The voice activity detector; auto takes silero where it is installed."
    threshold: Annotated[float, Range(0.05, 0.95)] = 0.5
    "How sure the detector must be that a window is speech."
    start_ms: Annotated[float, Range(32, 2000)] = 96.0
    "So much speech begins an utterance, in milliseconds."
    silence_ms: Annotated[float, Range(100, 5000)] = 600.0
    "So much silence ends an utterance, in milliseconds."
    adaptive_silence: bool = False
    "Whether silence_ms follows the pauses of the speaker."
    min_silence_ms: Annotated[float, Range(100, 5000)] = 350.0
    "The shortest silence that adaptive_silence comes to, in milliseconds."
    max_silence_ms: Annotated[float, Range(100, 5000)] = 1500.0
    "The longest silence that adaptive_silence comes to, in milliseconds."
    max_utterance_s: Annotated[float, Range(1, 600)] = 30.0
    "A longer utterance is ended, in seconds."
    pre_roll_ms: Annotated[float, Range(0, 2000)] = 300.0
    "Sound from before an utterance's first speech that is kept, in milliseconds."
    interrupt_thinking_ms: Annotated[float, Range(0, 5000)] = 200.0
    "So much speech interrupts a reply that is still being thought of, in milliseconds; 0 for never."
    interrupt_speaking_ms: Annotated[float, Range(0, 5000)] = 128.0
    "So much speech interrupts a reply that is being spoken, in milliseconds; 0 for never."
    echo_guard: bool = True
    "Whether a transcript that is what the device just played is ignored."
    send_ahead_s: Annotated[float, Range(0.2, 10)] = 2.0
    "How long before it is due to be played sound is sent, in seconds."
    liveness_timeout_s: Annotated[float, Range(10)] = 120.0
    "A live connection from which nothing came for this long is closed, in seconds."


@dataclass(frozen=True, slots=True)
class HomeConfig:
    """Where the devices stand: handed to every backend that has a setting of the same name and does not set it."""

    language: str = "en"
    "The language spoken here, as a BCP 47 tag."
    time_zone: str = ""
    "IANA name such as Europe/Paris; empty for the machine's own."
    names: tuple[str, ...] = ()
    "Things that can be named in a command: lamps, blinds, plugs."
    areas: tuple[str, ...] = ()
    "Rooms and floors that can be named in a command."
    webhook_url: str = field(default="", repr=False)
    "Where home commands are posted to; empty to say that none is configured."
    webhook_timeout_s: Seconds = 5.0
    "How long the webhook may take to answer, in seconds."


@dataclass(frozen=True, slots=True)
class StageConfig:
    """A stage: its backends, its worker processes, and how long it waits for what."""

    backends: tuple[str, ...] = ()
    "Names of backends, the preferred one first."
    workers: Count = 1
    "Worker processes."
    concurrency: Count = 1
    "Jobs that one worker does at once."
    max_queue: Count = 256
    "Jobs that may wait for a worker; then turns are refused with 503."
    retries: CountOrZero = 1
    "How often a backend is asked again after an error that may pass."
    retry_wait_s: SecondsOrZero = 0.5
    "Wait before a retry, in seconds."
    first_item_timeout_s: Seconds = 20.0
    "How long a backend may take to give its first result, in seconds."
    item_timeout_s: Seconds = 15.0
    "How long a backend may pause between two results, in seconds."
    total_timeout_s: Seconds = 90.0
    "How long one job may take, in seconds."
    sections: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    "Name of a backend to its own settings, not yet checked; they may hold keys."


@dataclass(frozen=True, slots=True)
class SttConfig(StageConfig):
    """Speech to text."""

    backends: tuple[str, ...] = ("pocketsphinx",)
    "Names of recognisers, the preferred one first; the next is tried when one fails."
    concurrency: Count = 16
    "Utterances that one worker has at once: people who speak hold a place while they speak, though it only listens."


@dataclass(frozen=True, slots=True)
class LlmConfig(StageConfig):
    """The mind: what answers, and how its answer is cut into sentences."""

    backends: tuple[str, ...] = ("intents",)
    "Names of reply engines, the preferred one first; the next is tried when one fails."
    system_prompt: str = (
        "You are a voice assistant. Your answer is read aloud: reply in one to three short sentences of plain words, "
        "in the language you are spoken to, without Markdown, lists, links or emoji."
    )
    "What the language model is told before each conversation; empty for nothing."
    first_min_chars: CountOrZero = 24
    "The first piece of a reply may end at a comma from this length on, so that speech starts early, in characters."
    max_chars: Annotated[int, Range(20)] = 240
    "A longer sentence is cut at a comma, else between words, in characters."
    models: tuple[str, ...] = ()
    "Other models that a session may choose."


@dataclass(frozen=True, slots=True)
class TtsConfig(StageConfig):
    """Text to speech."""

    backends: tuple[str, ...] = ("flite", "espeak")
    "Names of voices, the preferred one first; the next is tried when one fails."
    voices: tuple[str, ...] = ()
    "Other voices that a session may choose, such as flite/slt: a backend, or backend/voice."


@dataclass(frozen=True, slots=True)
class CharacterConfig:
    """One who speaks in replies, by name."""

    prompt: str = ""
    "What the language model is told about this character."
    voice: str = ""
    "A name of tts.backends, or backend/voice such as flite/slt; empty for the voice of the session."
    model: str = ""
    "The model that answers where this character speaks alone and the session chose none; empty for the configured one."


@dataclass(frozen=True, slots=True)
class AnalysisConfig(StageConfig):
    """Voice analysis beside the conversation; it may be off."""

    backends: tuple[str, ...] = ("prosody",)
    "Names of analysers; all of them run. Empty for none."
