"""Fetches what the service says, sentence by sentence, all the time: replies, and what it says unasked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from clients.device.health import Backoff
from clients.device.link import Busy, Link, retry_after_s
from clients.device.player import Player
from clients.device.settings import Settings
from clients.device.steps import Event, ReplyEnded
from clients.device.worker import Worker
from clients.service import Lost, Trouble, received

WAIT_S = 30
"""How long the service holds a request for which there is nothing yet."""
PIECE_BYTES = 4096
AHEAD_S = 5.0
"""Sound that may be in line before the next is fetched."""
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0


class Replies(Worker):
    """One thread that fetches; what was interrupted is dropped, what broke off is taken up where it broke."""

    def __init__(
        self, settings: Settings, player: Player, post: Callable[[Event], object], tell: Callable[[str], object]
    ) -> None:
        super().__init__("replies")
        self._link = Link(settings)
        self._player = player
        self._post = post
        self._tell = tell
        self._backoff = Backoff(SHORTEST_WAIT_S, LONGEST_WAIT_S)
        self._turn = ""
        "Whose sentences are coming."
        self._n_taken = (0, 0)
        "Index of the sentence that comes next, and how many of its bytes are in line already."
        self._is_lost = False
        "Whether the sentence must be asked for by its number: the service may think that we have it."
        self._dropped: deque[str] = deque(maxlen=64)
        self._trouble = ""
        self._with_sound: deque[str] = deque(maxlen=16)

    def configure(self, settings: Settings) -> None:
        """Take other settings from the next request on, which comes at once where the last one failed."""
        self._link.configure(settings)
        self._backoff.worked()
        self.wake()

    def forget(self, turns: list[str]) -> None:
        """Play nothing of these turns from now on."""
        self._dropped.extend(turns)

    def drop(self, turn: str) -> None:
        """Play nothing of this turn any more, nor of the one that is coming; an empty name is none."""
        self.forget([each for each in (turn, self._turn) if each])
        self._player.stop()

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def step(self) -> float:
        """Fetch where there is room for it; return how long to wait before the next."""
        return 0.5 if self._player.waiting_s > AHEAD_S else self.work()

    def work(self) -> float:
        """Fetch one sentence or find that there is none; return how long to wait before the next."""
        try:
            wait_s = self._fetch()
        except Trouble as error:
            self._is_lost = self._is_lost or (isinstance(error, Lost) and bool(self._turn))
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._tell(f"no replies: {error}")
            return max(self._backoff.failed(), error.retry_after_s if isinstance(error, Busy) else 0.0)
        if self._trouble:
            self._trouble = ""
            self._tell("replies are coming again")
        self._backoff.worked()
        return wait_s

    def _fetch(self) -> float:
        rate = self._player.sample_rate
        params = {"format": "pcm", "rate": str(rate), "timeout": str(WAIT_S)}
        if self._is_lost:
            params |= {"turn": self._turn, "segment": str(self._n_taken[0])}
        with self._link.ask("GET", "/audio", params, timeout_s=WAIT_S + 15, stream=True) as response:
            if response.status_code == 404:
                # A sentence that the turn does not have, or not any more: the plain request tells what is next.
                wait_s = 0.0 if self._is_lost else retry_after_s(response)
                self._is_lost = False
                return wait_s
            turn = response.headers.get("X-Turn", "")
            if not turn:
                # Some web servers have a page for every address.
                raise self._link.stranger(response)
            if response.status_code == 204:
                self._end(turn, response.headers.get("X-Turn-Error", ""))
                self._is_lost = False
            else:
                self._is_lost = not self._take(turn, int(response.headers.get("X-Segment", 0)), response, rate)
        return 0.0

    def _take(self, turn: str, index: int, response: Any, rate: int) -> bool:
        """Put a sentence in line while it arrives, without what is in line already; return whether it is done with."""
        if (turn, index) != (self._turn, self._n_taken[0]):
            self._turn, self._n_taken = turn, (index, 0)
        if turn not in self._with_sound:
            self._with_sound.append(turn)
        n_known = self._n_taken[1]
        at = 0
        half = b""
        for piece in received(response.iter_content(PIECE_BYTES)):
            if turn in self._dropped or self.is_stopping:
                return True
            if rate != self._player.sample_rate:
                # The speaker was opened since: the sentence is fetched again, as it wants it now.
                self._n_taken = (index, 0)
                return False
            begin = max(0, n_known - at)
            at += len(piece)
            news = half + piece[begin:]
            n_even = len(news) & ~1
            half = news[n_even:]
            if n_even:
                self._player.play(news[:n_even])
                if turn in self._dropped:
                    # It was dropped in this very moment, perhaps before this piece was in line.
                    self._player.stop()
                self._n_taken = (index, max(n_known, at - len(half)))
        self._n_taken = (index + 1, 0)
        return True

    def _end(self, turn: str, error: str) -> None:
        if turn == self._turn:
            self._turn, self._n_taken = "", (0, 0)
        has_sound = turn in self._with_sound
        if turn in self._dropped:
            return
        self._post(ReplyEnded(turn, has_sound, error))
