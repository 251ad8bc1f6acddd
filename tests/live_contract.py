"""The contract of the WebSocket, docs/websocket.md: a checker that follows one connection."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from tests.live_messages import CLOSING_CODES, SERVER_MESSAGES, check_server_message
from tests.live_rules import (
    Answers,
    ClosingErrors,
    Message,
    MetaThenBinary,
    NothingHeard,
    Rule,
    SessionFirst,
    Spoken,
    TurnComplete,
    require,
)
from tests.live_stream_rules import AudioComplete, Interruptions, SoundInOrder, TextStreams

N_SHOWN = 12
"""So many of the last messages are shown with a breach."""
RULES: tuple[type[Rule], ...] = (
    *(ClosingErrors, SessionFirst, Answers, MetaThenBinary, TurnComplete, Spoken, NothingHeard),
    *(TextStreams, Interruptions, AudioComplete, SoundInOrder),
)


class ContractChecker:
    """Follows one connection; raises AssertionError with the broken sentence and the last messages."""

    def __init__(self) -> None:
        self._rules = [rule() for rule in RULES]
        self._turns: dict[str, str] = {}
        "Message to its turn."
        self._log: deque[str] = deque(maxlen=N_SHOWN)
        self._is_closed = False

    def sent(self, message: Mapping[str, Any]) -> None:
        """Take note of what the client sends, right or wrong: tests send wrong things on purpose."""
        self._note("sent", message)
        for rule in self._rules:
            rule.sent(str(message.get("type")))

    def received(self, message: Mapping[str, Any]) -> None:
        """Check what the server has sent."""
        self._note("received", message)
        self._watch(self._check, message)

    def received_binary(self, pcm16: bytes) -> None:
        """Check the sound that the server has sent."""
        self._log.append(f"received binary, {len(pcm16)} bytes")
        self._watch(lambda: [rule.received_binary(pcm16) for rule in self._rules])

    def finish(self) -> None:
        """Check at the end of the connection that nothing is missing; when the server closed it, much may be."""
        if not self._is_closed:
            self._watch(lambda: [rule.finish() for rule in self._rules])

    def _check(self, message: Mapping[str, Any]) -> None:
        check_server_message(message)
        named = dict(message)
        if "message_id" in SERVER_MESSAGES[message["type"]]:
            turn = self._turns.setdefault(message["message_id"], message.get("turn_id", ""))
            require(bool(turn), "a `message_id` is told by `text_stream_start` first")
            named.setdefault("turn_id", turn)
        for rule in self._rules:
            rule.received(named)
            getattr(rule, f"on_{message['type']}", _ignore)(named)
        self._is_closed = message["type"] == "error" and message["code"] in CLOSING_CODES

    def _note(self, verb: str, message: Mapping[str, Any]) -> None:
        self._log.append(f"{verb} {json.dumps(message, ensure_ascii=False)[:300]}")

    def _watch(self, check: Any, *arguments: Any) -> None:
        try:
            check(*arguments)
        except AssertionError as breach:
            raise AssertionError("\n  ".join([f"{breach}; the last messages:", *self._log])) from None


def _ignore(message: Message) -> None:
    """A rule that has nothing to say about a message."""
