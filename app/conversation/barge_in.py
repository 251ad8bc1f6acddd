"""Speech over a reply: the reply is silent at once, ends when words are understood, and goes on when there are none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from app.audio.likeness import likeness
from app.conversation.echo import is_echo
from app.conversation.events import EchoHeard, EventLog, ReplyPaused, ReplyResumed
from app.conversation.line import Line
from app.conversation.player import Player
from app.conversation.turns import Turn

ECHO_MEMORY_S = 3.0
"""What sounded so long before somebody spoke may still be its echo."""
OWN_VOICE = 0.45
"""From this likeness on what is heard is what is played."""
SURE_WORDS = 2
"""So many words of a partial transcript are speech; one alone may be made of a cough."""


class Phase(Enum):
    """What a session is about, as a live microphone needs to know it."""

    IDLE = "idle"
    THINKING = "thinking"
    SPEAKING = "speaking"
    ECHOING = "echoing"
    "The microphone was found to hear the reply that is being spoken."


class BargeIn:
    """What happens to a session's reply while somebody speaks over it.

    Whoever calls `pause`, `go_on`, `take_over` or `understands` holds the session's lock.
    """

    def __init__(
        self, line: Line, log: EventLog, lock: threading.RLock, clock: Callable[[], float], guards_echo: bool
    ) -> None:
        self.player: Player | None = None
        "Plays to the live client; None when there is none."
        self._line = line
        self._log = log
        self._lock = lock
        self._clock = clock
        self._guards_echo = guards_echo
        self._when_replaced: Callable[[], None] = lambda: None
        self._paused: Turn | None = None
        self._echoing: Turn | None = None

    def take_seat(self, player: Player, when_replaced: Callable[[], None]) -> None:
        """Play to this live client from now on; one that was there before is told."""
        with self._lock:
            if self.player is not None:
                self.player.close(self._clock())
                self._when_replaced()
            self.player, self._when_replaced = player, when_replaced

    def leave_seat(self, player: Player) -> None:
        """Play to nobody, unless a newer client has taken the seat."""
        with self._lock:
            if self.player is player:
                player.close(self._clock())
                self.player, self._when_replaced = None, lambda: None

    def phase(self) -> Phase:
        """Say what the session is about now."""
        with self._lock:
            if self.player is not None and self.player.is_sounding(self._clock()):
                is_echoing = self._echoing is not None and not self._echoing.is_heard_out
                return Phase.ECHOING if is_echoing else Phase.SPEAKING
            return Phase.THINKING if self._line.current is not None else Phase.IDLE

    def is_own_voice(self, heard: bytes) -> bool:
        """Say whether the microphone hears what is being played: PCM16 at SPEECH_RATE_HZ, the newest of it."""
        player = self.player
        if player is None or not self._guards_echo:
            return False
        return likeness(heard, player.sounded(self._clock())) >= OWN_VOICE

    def pause(self) -> None:
        """Be silent, since somebody speaks; nothing happens when there is no reply."""
        if self._paused is not None or (reply := self._reply()) is None:
            return
        self._paused = reply
        self._log.append(reply.id, ReplyPaused())
        if self.player is not None:
            self.player.pause(self._clock())

    def go_on(self) -> None:
        """Go on with the reply, unless somebody still speaks."""
        if any(turn.is_being_heard for turn in self._line.open_turns):
            return
        paused, self._paused = self._paused, None
        if paused is not None and not paused.is_heard_out:
            self._log.append(paused.id, ReplyResumed())
        if self.player is not None:
            self.player.resume()

    def take_over(self, turn: Turn) -> None:
        """Make this turn the one that is answered; those before it have been cancelled."""
        self._paused = None
        if self.player is not None:
            self.player.resume()
        if any(other.is_being_heard for other in self._line.open_turns if other is not turn):
            self.pause()

    def understands(self, turn: Turn, text: str) -> bool:
        """Say whether the words of a turn that is heard over others are the user's own, and not the reply's echo."""
        if not text or self.player is None or not self._guards_echo:
            return bool(text)
        sentences = self.player.heard_since(turn.marks["received"] - ECHO_MEMORY_S)
        if not is_echo(text, sentences):
            return True
        self._echoing = self._paused
        self._log.append(turn.id, EchoHeard())
        return False

    def _reply(self) -> Turn | None:
        """Return the turn whose reply is being spoken or thought of."""
        if self.player is not None and (heard := self.player.turn(self._clock())) is not None:
            return heard
        return next((turn for turn in self._line.unheard if not turn.is_being_heard), None)
