"""Plays a session's replies to one live client: ahead of time, but only a little, so that an interruption wastes little.

What was heard is reckoned from when it was sent: the client plays at once and without pauses.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from app.audio.pcm import BYTES_PER_SAMPLE, duration_s
from app.audio.resample import StreamResampler
from app.conversation.delivery import Outlet
from app.conversation.segments import Segment
from app.conversation.turns import Turn

LIVE_RATE_HZ = 24_000
"""The rate of all sound that a live client gets."""
MAX_CHUNK_S = 0.2


@dataclass(frozen=True, slots=True)
class Sound:
    """The next piece of a reply."""

    turn: Turn
    segment: Segment
    chunk_index: int
    pcm16: bytes
    "At LIVE_RATE_HZ."
    is_resumed: bool = False
    "The first piece after an interruption that was none."


@dataclass(frozen=True, slots=True)
class TurnOver:
    """A turn was played, or cut off; nothing of it follows."""

    turn: Turn
    has_sounded: bool


@dataclass(frozen=True, slots=True)
class _Sent:
    """A piece on its way to the user's ears."""

    segment: Segment
    start_byte: int
    end_byte: int
    starts_at_s: float
    ends_at_s: float
    is_last: bool = False
    "No more of its segment follows."

    def byte_at(self, now_s: float) -> int:
        """Return how far into the segment's own audio the ear is."""
        length_s = self.ends_at_s - self.starts_at_s
        part = min(1.0, max(0.0, (now_s - self.starts_at_s) / length_s)) if length_s else 1.0
        return self.start_byte + int((self.end_byte - self.start_byte) * part) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE


class Player:
    """What one live client hears of its session.  Every method takes the session's lock."""

    def __init__(self, outlet: Outlet, lock: threading.RLock, send_ahead_s: float) -> None:
        self._outlet = outlet
        self._lock = lock
        self._send_ahead_s = send_ahead_s
        self._is_paused = False
        self._turn: Turn | None = None
        self._segment: Segment | None = None
        "The one that is being sent."
        self._position = 0
        "Bytes of it that were sent."
        self._chunk_index = 0
        self._resumes = False
        self._resampler = StreamResampler(LIVE_RATE_HZ, LIVE_RATE_HZ)
        self._sent: deque[_Sent] = deque()
        self._plays_until_s = 0.0
        self._lately: deque[tuple[float, Segment]] = deque(maxlen=8)
        self._sounded: set[str] = set()
        "Turns of which something was sent."

    # ---- what the client gets ----------------------------------------------------------------------------------------

    def take(self, now_s: float) -> Sound | TurnOver | None:
        """Return what the client is to get now; None when it is to wait."""
        with self._lock:
            self._note_played(now_s)
            over = next((turn for turn in self._outlet.turns if turn.is_heard_out), None)
            if over is not None:
                self._outlet.close(over)
                has_sounded = over.id in self._sounded
                self._sounded.discard(over.id)
                return TurnOver(over, has_sounded)
            if self._is_paused or self._plays_until_s - now_s >= self._send_ahead_s:
                return None
            return self._next_sound(now_s)

    def wait_s(self, now_s: float) -> float | None:
        """Return after how many seconds `take` may have something without anything happening; None for never."""
        with self._lock:
            if not self._sent:
                return None
            room_s = self._plays_until_s - self._send_ahead_s - now_s
            played_s = self._sent[0].ends_at_s - now_s
            return max(0.001, min(room_s, played_s) if room_s > 0 else played_s)

    # ---- what interrupts it ------------------------------------------------------------------------------------------

    def is_sounding(self, now_s: float) -> bool:
        """True while the user hears something."""
        return bool(self._sent) and self._plays_until_s > now_s

    def pause(self, now_s: float) -> None:
        """Be silent; what was sent and not yet heard will be sent again."""
        with self._lock:
            self._note_played(now_s)
            self._is_paused = True
            self._rewind(now_s)

    def resume(self) -> None:
        """Go on where it was paused."""
        with self._lock:
            self._is_paused = False

    def cut_off(self, turn: Turn) -> None:
        """Let go of a turn that was cancelled: what was heard of the sentence in progress is all that will be."""
        with self._lock:
            if self._turn is not turn or self._segment is None:
                return
            self._segment.heard_bytes = self._position
            self._outlet.settle_segment(turn, self._segment, delivered=True)
            self._turn = self._segment = None
            self._resumes = False

    def close(self, now_s: float) -> None:
        """Leave the rest to the next reader; the sentence in progress is heard anew."""
        with self._lock:
            self.pause(now_s)
            if self._turn is not None and self._segment is not None:
                self._outlet.settle_segment(self._turn, self._segment, delivered=False)
            self._turn = self._segment = None

    def heard_since(self, since_s: float) -> list[str]:
        """Return the sentences that sounded since then, newest last."""
        with self._lock:
            texts = [segment.text for at_s, segment in self._lately if at_s >= since_s]
            texts += list(dict.fromkeys(sent.segment.text for sent in self._sent))
            return texts

    # ---- the way of the sound ----------------------------------------------------------------------------------------

    def _next_sound(self, now_s: float) -> Sound | None:
        while self._find_segment():
            assert self._turn is not None and self._segment is not None
            source = self._segment.audio_from(self._position, self._max_bytes())
            if source:
                sound = self._resampler.feed(source)
                end = self._position + len(source)
                piece = self._send(sound, end, now_s, is_last=False)
            elif self._segment.is_settled:
                piece = self._send(self._resampler.flush(), self._position, now_s, is_last=True)
            else:
                return None
            if piece is not None:
                return piece
        return None

    def _max_bytes(self) -> int:
        assert self._segment is not None
        return int(MAX_CHUNK_S * self._segment.sample_rate) * BYTES_PER_SAMPLE

    def _find_segment(self) -> bool:
        """Have a segment to send; false when there is none yet."""
        if self._segment is not None:
            return True
        turn = next(iter(self._outlet.turns), None)
        if turn is None:
            return False
        on_their_way = {id(sent.segment) for sent in self._sent}
        segment = next((s for s in turn.waiting() if id(s) not in on_their_way), None)
        if segment is None or segment.is_claimed or not segment.chunks:
            return False
        self._outlet.claim_segment(turn, segment)
        self._begin(turn, segment, 0)
        return True

    def _begin(self, turn: Turn, segment: Segment, position: int) -> None:
        self._turn, self._segment, self._position, self._chunk_index = turn, segment, position, 0
        self._resampler = StreamResampler(segment.sample_rate, LIVE_RATE_HZ)

    def _send(self, pcm16: bytes, end_byte: int, now_s: float, *, is_last: bool) -> Sound | None:
        """Note a piece as sent, and return it unless it is empty."""
        assert self._turn is not None and self._segment is not None
        starts_at_s = max(now_s, self._plays_until_s)
        self._plays_until_s = starts_at_s + duration_s(pcm16, LIVE_RATE_HZ)
        start_byte, self._position = self._position, end_byte
        self._sent.append(_Sent(self._segment, start_byte, end_byte, starts_at_s, self._plays_until_s, is_last))
        piece = None
        if pcm16:
            piece = Sound(self._turn, self._segment, self._chunk_index, pcm16, self._resumes)
            self._chunk_index += 1
            self._resumes = False
            self._sounded.add(self._turn.id)
        if is_last:
            self._segment = None
        return piece

    def _note_played(self, now_s: float) -> None:
        """Settle what the user has heard by now."""
        while self._sent and self._sent[0].ends_at_s <= now_s:
            played = self._sent.popleft()
            if played.is_last:
                self._lately.append((played.ends_at_s, played.segment))
                assert self._turn is not None
                self._outlet.settle_segment(self._turn, played.segment, delivered=True)

    def _rewind(self, now_s: float) -> None:
        """Go back to what is being heard now."""
        self._resumes = self._turn is not None and self._turn.id in self._sounded
        if self._turn is None or (not self._sent and self._segment is None):
            return
        heard, position = self._segment, self._position
        if self._sent:
            heard, position = self._sent[0].segment, self._sent[0].byte_at(now_s)
        for segment in [*(sent.segment for sent in self._sent), self._segment]:
            if segment is not None and segment is not heard and segment.is_claimed:
                self._outlet.settle_segment(self._turn, segment, delivered=False)
        assert heard is not None
        self._lately.append((now_s, heard))
        self._sent.clear()
        self._plays_until_s = now_s
        self._begin(self._turn, heard, position)
