"""Conversations over the WebSocket: good ones, and for every rule of the contract some that break it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.live_messages import SETTINGS

Step = dict[str, Any] | bytes | str
"""A message of the server, sound, or the name of what the client sends."""
Script = list[Step]

SETTINGS_OF_A_SESSION = dict.fromkeys(SETTINGS)
LISTENING_DEFAULTS = {
    "rate": 16_000,
    "mode": "hands_free",
    "threshold": 0.5,
    "start_ms": 90,
    "silence_ms": 600,
    "adaptive_silence": True,
    "max_utterance_s": 30,
    "pre_roll_ms": 300,
    "interrupt_thinking_ms": 300,
    "interrupt_speaking_ms": 400,
}


def msg(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a message of the server."""
    return {"type": kind, **fields}


HELLO = msg(
    "session",
    session_id="desk",
    sample_rate=24_000,
    characters=["Ann"],
    models=[],
    voices=["slt"],
    settings=SETTINGS_OF_A_SESSION,
    listening=LISTENING_DEFAULTS,
)


def speech(turn: str, text: str) -> Script:
    """Return an utterance from its beginning to its transcript."""
    return [
        msg("speech_started", turn_id=turn),
        msg("stt_update", turn_id=turn, text="what"),
        msg("speech_stopped", turn_id=turn),
        msg("stt_update", turn_id=turn, text="what time"),
        msg("stt_finished", turn_id=turn, text=text),
    ]


def words(turn: str, name: str, *sentences: int, character: str = "") -> Script:
    """Return a text stream."""
    return [
        msg("text_stream_start", message_id=name, turn_id=turn, character_name=character),
        *(msg("text_chunk", message_id=name, sentence_index=i, text="It is ten.") for i in sentences),
        msg("text_stream_stop", message_id=name),
    ]


def begin(turn: str, name: str, character: str = "", resumed: bool = False) -> dict[str, Any]:
    """Return the begin of an audio stream."""
    return msg("audio_stream_start", message_id=name, turn_id=turn, character_name=character, resumed=resumed)


def meta(name: str, sentence: int, chunk: int) -> dict[str, Any]:
    """Return what goes before sound."""
    return msg("audio_chunk_meta", message_id=name, sentence_index=sentence, chunk_index=chunk)


def sound(name: str, *chunks: tuple[int, int]) -> Script:
    """Return chunks of sound by sentence and number."""
    return [step for sentence, chunk in chunks for step in (meta(name, sentence, chunk), bytes(9_600))]


def complete(turn: str) -> dict[str, Any]:
    """Return the end of a turn's sound."""
    return msg("audio_complete", session_id="desk", turn_id=turn)


def end(turn: str, outcome: str = "done", reason: str | None = None) -> dict[str, Any]:
    """Return the end of a turn."""
    rest = {"heard": "what time is it", "spoken": "It is ten.", "waterfall_ms": {"received": 0.0}}
    return msg("turn_complete", turn_id=turn, outcome=outcome, reason=reason, **rest)


def cut(turn: str) -> dict[str, Any]:
    """Return the interruption of a turn."""
    return msg("interrupted", turn_id=turn, reason="new-utterance")


def reply(turn: str, name: str) -> Script:
    """Return a reply of two sentences."""
    return [*words(turn, name, 0, 1), begin(turn, name), *sound(name, (0, 0), (0, 1), (1, 0)), complete(turn)]


FAILED_A = end("a", "failed", "backend-timeout")
CANCELLED_A = end("a", "cancelled", "new-utterance")
ANALYSIS = msg("analysis", turn_id="a", analyser="prosody", scores={"pitch_hz": 201.5, "pace": None})
WRONG = msg("error", code="bad-settings", message="no such voice")
COUGH = [*speech("b", ""), {**end("b"), "heard": "", "spoken": ""}]
HALF_A = [*words("a", "m", 0, 1), begin("a", "m"), *sound("m", (0, 0), (0, 1))]

GOOD: dict[str, Script] = {
    "one turn": [HELLO, "start_listening", *speech("a", "what"), ANALYSIS, *reply("a", "m"), end("a")],
    "late analysis": [HELLO, "start_listening", *speech("a", "what"), *reply("a", "m"), end("a"), ANALYSIS],
    "an utterance of another client": [HELLO, speech("a", "x")[-1], *reply("a", "m"), end("a")],
    "two turns": [HELLO, *speech("a", "x"), *reply("a", "m"), end("a"), *speech("b", "y"), *reply("b", "n"), end("b")],
    "typed": [HELLO, "user_message", *reply("a", "m"), end("a")],
    "announcement": [HELLO, *reply("a", "m"), end("a")],
    "nothing heard": [HELLO, *COUGH],
    "interrupted": [HELLO, *HALF_A, cut("a"), *speech("b", "no"), CANCELLED_A, *reply("b", "n"), end("b")],
    "interrupted, told later": [
        *(HELLO, *HALF_A, *speech("b", "no")[:1], cut("a"), *speech("b", "no")[1:]),
        *(*reply("b", "n"), CANCELLED_A, end("b")),
    ],
    "a cough": [
        *(HELLO, *HALF_A, cut("a"), *COUGH),
        *(begin("a", "m", resumed=True), *sound("m", (0, 0), (1, 0)), complete("a"), end("a")),
    ],
    "a cough when all was sent": [
        *(HELLO, *HALF_A, complete("a"), cut("a"), *COUGH),
        *(begin("a", "m", resumed=True), *sound("m", (0, 0), (0, 1), (1, 0)), complete("a"), end("a")),
    ],
    "a cough in thought": [
        *(HELLO, cut("a"), *COUGH),
        *(*words("a", "m", 0), begin("a", "m", resumed=True), *sound("m", (0, 0)), complete("a"), end("a")),
    ],
    "two characters": [
        *(HELLO, *words("a", "m", 0, 1, character="Ann"), begin("a", "m", "Ann"), *sound("m", (0, 0))),
        *(*words("a", "n", 0, character="Bob"), *sound("m", (1, 0)), begin("a", "n", "Bob")),
        *(*sound("n", (0, 0), (0, 1)), complete("a"), end("a")),
    ],
    "two characters and a cough": [
        *(HELLO, *words("a", "m", 0, character="Ann"), *words("a", "n", 1, character="Bob"), begin("a", "m", "Ann")),
        *(*sound("m", (0, 0)), begin("a", "n", "Bob"), *sound("n", (1, 0)), cut("a"), *COUGH),
        *(begin("a", "m", "Ann", True), *sound("m", (0, 0)), begin("a", "n", "Bob", True), *sound("n", (1, 0))),
        *(complete("a"), end("a")),
    ],
    "failed with an apology": [HELLO, *speech("a", "x"), *reply("a", "m"), FAILED_A],
    "the recogniser failed": [HELLO, *speech("a", "x")[:3], *reply("a", "m"), FAILED_A],
    "failed without a sound": [HELLO, FAILED_A],
    "soundless": [HELLO, *words("a", "m", 0), end("a")],
    "overlapping announcement": [
        HELLO,
        *speech("b", "x")[:2],
        *reply("a", "m"),
        *speech("b", "x")[2:],
        end("a"),
        end("b"),
    ],
    "answers": [
        *(HELLO, "ping", "ping", msg("pong"), msg("pong"), msg("ping"), "pong"),
        *("model_settings", msg("settings", **SETTINGS_OF_A_SESSION), "model_settings", WRONG),
    ],
    "replaced": [HELLO, *HALF_A, "ping", msg("error", code="replaced", message="a newer connection took over")],
    "no room": [HELLO, msg("error", code="overloaded", message="no room", turn_id="a")],
}


def without(script: Sequence[Step], number: int) -> Script:
    """Return a script without one of its steps."""
    return [step for i, step in enumerate(script) if i != number % len(script)]


A_TURN = [HELLO, *speech("a", "what"), *reply("a", "m"), end("a")]
A_REPLY = reply("a", "m")
HEARD_AGAIN = [HELLO, *HALF_A, cut("a"), *COUGH]

BROKEN: list[tuple[str, Script]] = [
    # Of the connection.
    ("the first message is `session`", A_TURN[1:]),
    ("`session` comes once", [HELLO, HELLO]),
    (
        "`audio_complete` names the session of this connection",
        [HELLO, *A_REPLY[:-1], msg("audio_complete", session_id="hall", turn_id="a")],
    ),
    ("nothing follows an error that closes the connection", [*GOOD["replaced"], msg("pong")]),
    ("`pong` answers a `ping`", [HELLO, "ping", msg("pong"), msg("pong")]),
    ("`settings` answers `model_settings`", [HELLO, msg("settings", **SETTINGS_OF_A_SESSION)]),
    ("every `ping` is answered", [HELLO, "ping"]),
    ("every `model_settings` is answered", [HELLO, "model_settings"]),
    # Of a spoken turn.
    ("a spoken turn begins with `speech_started`", [HELLO, *reply("a", "m"), *speech("a", "x")[1:]]),
    ("`speech_started` is the first message of its turn, and comes once", [*A_TURN[:2], A_TURN[1]]),
    ("`speech_started` is the first message of its turn, and comes once", [HELLO, *reply("a", "m"), A_TURN[1]]),
    ("no `stt_update` follows `stt_finished`", [*A_TURN[:6], A_TURN[2]]),
    ("`speech_stopped` comes once, and before `stt_finished`", [*A_TURN[:4], A_TURN[3]]),
    ("`stt_finished` comes once, behind `speech_stopped`", without(A_TURN, 3)),
    ("`stt_finished` comes once, behind `speech_stopped`", [*A_TURN[:6], A_TURN[5]]),
    ("a spoken turn is answered behind its `stt_finished`", without(A_TURN, 5)),
    ("a spoken turn is answered behind its `stt_finished`", [*A_TURN[:5], *A_REPLY, A_TURN[5], end("a")]),
    ("a spoken turn that is done had `stt_finished`", [*A_TURN[:5], end("a")]),
    ("a turn that heard nothing has no streams", [HELLO, *speech("a", ""), *reply("a", "m"), end("a")]),
    # Of every turn.
    ("`turn_complete` comes once, and is the last of its turn", [*A_TURN, end("a")]),
    ("`turn_complete` comes once, and is the last of its turn", [*A_TURN, meta("m", 1, 1)]),
    ("`turn_complete` comes once, and is the last of its turn", [HELLO, *words("a", "m", 0), end("a"), complete("a")]),
    ("every turn has its `turn_complete`", A_TURN[:-1]),
    ("`reason` is null when a turn is done, and only then", [*A_TURN[:-1], end("a", "done", "interrupted")]),
    ("`reason` is null when a turn is done, and only then", [*A_TURN[:-1], end("a", "failed")]),
    # Of text.
    ("a `message_id` is told by `text_stream_start` first", [HELLO, *words("a", "m", 0)[1:]]),
    ("each text stream has a `message_id` of its own", [HELLO, *words("a", "m", 0), *words("a", "m", 1)]),
    ("text streams come one after the other", [HELLO, *words("a", "m", 0)[:-1], *words("a", "n", 1)]),
    ("`text_chunk` stands between start and stop of its stream", [HELLO, *words("a", "m", 0), words("a", "m", 1)[1]]),
    ("the `text_chunk`s of a message count up by one", [HELLO, *words("a", "m", 0, 2)]),
    ("the `text_chunk`s of a message count up by one", [HELLO, *words("a", "m", 0, 0)]),
    ("`text_stream_stop` ends a stream that was started, once", [HELLO, *words("a", "m", 0), words("a", "m")[-1]]),
    ("every text stream is stopped before `turn_complete`", [HELLO, *words("a", "m", 0)[:-1], end("a")]),
    # Of sound.
    ("an audio stream has message, turn and character of a text stream", [HELLO, begin("a", "m")]),
    ("an audio stream has message, turn and character of a text stream", [HELLO, *words("a", "m", 0), begin("b", "m")]),
    (
        "an audio stream has message, turn and character of a text stream",
        [HELLO, *words("a", "m", 0), begin("a", "m", "Ann")],
    ),
    ("the sound of a message follows its `audio_stream_start`", [HELLO, *words("a", "m", 0), *sound("m", (0, 0))]),
    (
        "the sound of a message follows its `audio_stream_start`",
        [HELLO, *words("a", "m", 0), *words("a", "n", 0), begin("a", "m"), begin("a", "n"), *sound("m", (0, 0))],
    ),
    (
        "a sentence's `text_chunk` comes before its sound",
        [HELLO, *words("a", "m", 0), begin("a", "m"), meta("m", 1, 0)],
    ),
    ("the sound of sentences comes in their order", [HELLO, *A_REPLY[:-1], meta("m", 0, 2)]),
    ("`chunk_index` counts from 0 in each sentence", [HELLO, *A_REPLY[:5], meta("m", 0, 1)]),
    ("`chunk_index` counts from 0 in each sentence", [HELLO, *HALF_A, meta("m", 0, 3)]),
    ("`chunk_index` counts from 0 in each sentence", [HELLO, *HALF_A, meta("m", 1, 2)]),
    ("`chunk_index` counts from 0 in each sentence", [*HEARD_AGAIN, begin("a", "m", resumed=True), meta("m", 0, 2)]),
    ("between `audio_chunk_meta` and its binary frame comes nothing", [HELLO, *HALF_A[:-1], msg("ping")]),
    ("a binary frame follows its `audio_chunk_meta`", [HELLO, *HALF_A, bytes(2)]),
    ("every `audio_chunk_meta` has its binary frame", [HELLO, *A_REPLY[:5], meta("m", 0, 0)]),
    ("a binary frame is PCM16: an even number of bytes", [HELLO, *HALF_A[:-1], bytes(3)]),
    ("a binary frame is PCM16: an even number of bytes", [HELLO, *HALF_A[:-1], b""]),
    ("a binary frame has at most 200 ms", [HELLO, *HALF_A[:-1], bytes(9_602)]),
    ("no sound follows `audio_complete`", [HELLO, *A_REPLY, meta("m", 1, 1)]),
    ("no sound follows `audio_complete`", [HELLO, *words("a", "m", 0), complete("a"), begin("a", "m")]),
    ("`audio_complete` comes once", [HELLO, *A_REPLY, complete("a")]),
    ("a turn that was cut off has no `audio_complete`", [HELLO, *HALF_A, cut("a"), complete("a")]),
    ("`audio_complete` precedes `turn_complete`", without(A_TURN, -2)),
    ("`audio_complete` precedes `turn_complete`", [HELLO, *HALF_A, FAILED_A]),
    # Of interruptions.
    ("after `interrupted` no sound of that turn follows", [HELLO, *HALF_A, cut("a"), *sound("m", (1, 0))]),
    ("after `interrupted` the sound begins again with `resumed` true", [*HEARD_AGAIN, begin("a", "m")]),
    (
        "a reply goes on only when the interruption yielded no words",
        [HELLO, *HALF_A, cut("a"), begin("a", "m", "", True)],
    ),
    (
        "a reply goes on only when the interruption yielded no words",
        [HELLO, *HALF_A, cut("a"), *speech("b", "no"), *reply("b", "n"), end("b"), begin("a", "m", resumed=True)],
    ),
    (
        "`resumed` is false for a turn that was not interrupted",
        [HELLO, *words("a", "m", 0), begin("a", "m", resumed=True)],
    ),
    ("a message has one audio stream unless it was interrupted", [HELLO, *HALF_A, begin("a", "m")]),
    ("sound of a turn that is cancelled was `interrupted` before", [HELLO, *HALF_A, CANCELLED_A]),
]
