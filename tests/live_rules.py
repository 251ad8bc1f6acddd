"""What holds for every message and turn of the WebSocket: see "In which order" in docs/websocket.md.

Each rule stands alone and keeps only what it needs, so that it can be read beside its sentence on the page.  Turns may
overlap, and a turn may begin with any of its messages: announcements and typed turns have no speech.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.live_messages import CLOSING_CODES

MAX_CHUNK_BYTES = 9_600
"""200 ms of PCM16 at 24 kHz."""

Message = Mapping[str, Any]
"""A message of the server; what names only its `message_id` has the `turn_id` too."""


def require(is_kept: bool, sentence: str) -> None:
    """Raise AssertionError with the sentence that was broken."""
    assert is_kept, sentence


class Rule:
    """Watches one connection; `on_<type>` is called for each message, where a rule has it."""

    def sent(self, kind: str) -> None:
        """The client has sent a message of this type."""

    def received(self, message: Message) -> None:
        """The server has sent any message."""

    def received_binary(self, pcm16: bytes) -> None:
        """The server has sent sound."""

    def finish(self) -> None:
        """The connection has ended as it should."""


class SessionFirst(Rule):
    """`session` is the first message, and comes once."""

    def __init__(self) -> None:
        self.session_id = ""

    def received(self, message: Message) -> None:
        is_first = not self.session_id
        require(not is_first or message["type"] == "session", "the first message is `session`")
        require(is_first or message["type"] != "session", "`session` comes once")
        self.session_id = self.session_id or message["session_id"]

    def on_audio_complete(self, message: Message) -> None:
        require(message["session_id"] == self.session_id, "`audio_complete` names the session of this connection")


class ClosingErrors(Rule):
    """Nothing follows an error that closes the connection."""

    def __init__(self) -> None:
        self.is_closed = False

    def received(self, message: Message) -> None:
        require(not self.is_closed, "nothing follows an error that closes the connection")
        self.is_closed = message["type"] == "error" and message["code"] in CLOSING_CODES


class Answers(Rule):
    """`pong` answers `ping`, and `settings` answers `model_settings`; with an error the count is no longer known."""

    def __init__(self) -> None:
        self.n_pings = self.n_settings = 0
        self.has_error = False

    def sent(self, kind: str) -> None:
        self.n_pings += kind == "ping"
        self.n_settings += kind == "model_settings"

    def on_pong(self, message: Message) -> None:
        self.n_pings -= 1
        require(self.n_pings >= 0, "`pong` answers a `ping`")

    def on_settings(self, message: Message) -> None:
        self.n_settings -= 1
        require(self.n_settings >= 0, "`settings` answers `model_settings`")

    def on_error(self, message: Message) -> None:
        self.has_error = True

    def finish(self) -> None:
        require(self.has_error or self.n_pings == 0, "every `ping` is answered")
        require(self.has_error or self.n_settings == 0, "every `model_settings` is answered")


class MetaThenBinary(Rule):
    """Between audio_chunk_meta and its binary frame comes nothing; a frame is PCM16 of at most 200 ms."""

    def __init__(self) -> None:
        self.is_due = False

    def received(self, message: Message) -> None:
        require(not self.is_due, "between `audio_chunk_meta` and its binary frame comes nothing")
        self.is_due = message["type"] == "audio_chunk_meta"

    def received_binary(self, pcm16: bytes) -> None:
        require(self.is_due, "a binary frame follows its `audio_chunk_meta`")
        require(len(pcm16) > 0 and len(pcm16) % 2 == 0, "a binary frame is PCM16: an even number of bytes")
        require(len(pcm16) <= MAX_CHUNK_BYTES, "a binary frame has at most 200 ms")
        self.is_due = False

    def finish(self) -> None:
        require(not self.is_due, "every `audio_chunk_meta` has its binary frame")


class TurnComplete(Rule):
    """turn_complete comes once for every turn, and last; its reason is null when it is done."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.complete: set[str] = set()

    def received(self, message: Message) -> None:
        turn = message.get("turn_id")
        # An error may belong to a turn that never was one, as when there is no room.
        if turn is None or message["type"] == "error":
            return
        if message["type"] == "analysis" and turn in self.complete:
            return
        require(turn not in self.complete, "`turn_complete` comes once, and is the last of its turn")
        self.open.add(turn)

    def on_turn_complete(self, message: Message) -> None:
        is_done = message["outcome"] == "done"
        require(is_done == (message["reason"] is None), "`reason` is null when a turn is done, and only then")
        self.open.discard(message["turn_id"])
        self.complete.add(message["turn_id"])

    def finish(self) -> None:
        require(not self.open, "every turn has its `turn_complete`")


class Spoken(Rule):
    """Of a spoken turn: speech_started, stt_updates with speech_stopped among them, stt_finished; then the rest."""

    STARTED, STOPPED, FINISHED = range(3)

    def __init__(self) -> None:
        self.turns: set[str] = set()
        self.states: dict[str, int] = {}
        self.unheard: set[str] = set()
        "Spoken turns that had streams before their transcript: the apology when the recogniser fails."

    def received(self, message: Message) -> None:
        kind, turn = message["type"], message.get("turn_id", "")
        if kind in ("stt_update", "stt_finished") and turn not in self.turns:
            # Another client of the session has uploaded it.
            self.states[turn] = self.STOPPED
        if kind in ("stt_update", "speech_stopped", "stt_finished"):
            require(turn in self.states, "a spoken turn begins with `speech_started`")
        if kind == "speech_started":
            require(turn not in self.turns, "`speech_started` is the first message of its turn, and comes once")
            self.states[turn] = self.STARTED
        if kind != "analysis":
            # Of an upload it may come before the transcript.
            self.turns.add(turn)

    def on_stt_update(self, message: Message) -> None:
        require(self.states[message["turn_id"]] != self.FINISHED, "no `stt_update` follows `stt_finished`")

    def on_speech_stopped(self, message: Message) -> None:
        is_first = self.states[message["turn_id"]] == self.STARTED
        require(is_first, "`speech_stopped` comes once, and before `stt_finished`")
        self.states[message["turn_id"]] = self.STOPPED

    def on_stt_finished(self, message: Message) -> None:
        is_next = self.states[message["turn_id"]] == self.STOPPED
        require(is_next, "`stt_finished` comes once, behind `speech_stopped`")
        self.states[message["turn_id"]] = self.FINISHED

    def on_text_stream_start(self, message: Message) -> None:
        if self.states.get(message["turn_id"], self.FINISHED) != self.FINISHED:
            self.unheard.add(message["turn_id"])

    def on_turn_complete(self, message: Message) -> None:
        turn, is_done = message["turn_id"], message["outcome"] == "done"
        # An apology may be cancelled too.
        require(not is_done or turn not in self.unheard, "a spoken turn is answered behind its `stt_finished`")
        is_heard = self.states.get(turn, self.FINISHED) == self.FINISHED
        require(is_heard or not is_done, "a spoken turn that is done had `stt_finished`")


class NothingHeard(Rule):
    """A turn that heard nothing has no streams."""

    def __init__(self) -> None:
        self.turns: set[str] = set()

    def on_stt_finished(self, message: Message) -> None:
        if not message["text"]:
            self.turns.add(message["turn_id"])

    def on_text_stream_start(self, message: Message) -> None:
        require(message["turn_id"] not in self.turns, "a turn that heard nothing has no streams")
