"""Plays a session's replies to one live client: a little ahead of time, so that an interruption wastes little.

What was heard is reckoned from when it was sent: the client plays at once and without pauses.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ, duration_s
from app.audio.resample import StreamResampler, resample
from app.conversation.delivery import Outlet
from app.conversation.segments import Segment
from app.conversation.turns import Turn

LIVE_RATE_HZ = 24_000
"""The rate of all sound that a live client gets."""
MAX_CHUNK_S = 0.2
PLAYED_S = 1.5
"""What sounded so long ago may still be heard by a microphone: the way through a network and a room and back."""


@dataclass(frozen=True, slots=True)
class Sound:
    """The next piece of a reply."""

    turn: Turn
    segment: Segment
    chunk_index: int
    "From 0 in each segment, and again after a pause."
    pcm16: bytes
    "At LIVE_RATE_HZ."


@dataclass(frozen=True, slots=True)
class TurnOver:
    """A turn was played, or cut off; nothing of it follows."""

    turn: Turn
    has_sounded: bool


@dataclass(slots=True)
class _Reading:
    """How far a segment was sent."""

    turn: Turn
    segment: Segment
    position: int
    "In bytes of the segment's own audio."
    resampler: StreamResampler
    chunk_index: int = 0


@dataclass(frozen=True, slots=True)
class _Sent:
    """A piece on its way to the user's ears."""

    turn: Turn
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
        n_samples = round((self.end_byte - self.start_byte) / BYTES_PER_SAMPLE * part)
        return self.start_byte + n_samples * BYTES_PER_SAMPLE


class Player:
    """What one live client hears of its session.  Every method takes the session's lock."""

    def __init__(self, outlet: Outlet, lock: threading.RLock, send_ahead_s: float) -> None:
        self._outlet = outlet
        self._lock = lock
        self._send_ahead_s = send_ahead_s
        self._is_paused = False
        self._reading: _Reading | None = None
        self._cuts: dict[Segment, _Reading] = {}
        "The places at which pauses cut sentences: that of a reply, and that of an apology over it."
        self._sent: deque[_Sent] = deque()
        self._plays_until_s = 0.0
        self._played: deque[_Sent] = deque()
        "What sounded in the last PLAYED_S."
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

    def turn(self, now_s: float) -> Turn | None:
        """Return the turn that is being heard; None when none is."""
        with self._lock:
            self._note_played(now_s)
            under_way = self._sent[0] if self._sent else self._reading
            return None if under_way is None else under_way.turn

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
        """Let go of a turn that is about to be cancelled: no more is heard of the sentence in progress."""
        with self._lock:
            for cut in [cut for cut in self._cuts.values() if cut.turn is turn]:
                del self._cuts[cut.segment]
                cut.segment.cut_off(cut.position)
                self._outlet.settle_segment(turn, cut.segment, delivered=True)

    def close(self, now_s: float) -> None:
        """Leave the rest to the next reader; the sentence in progress is heard anew."""
        with self._lock:
            self.pause(now_s)
            for cut in self._cuts.values():
                self._outlet.settle_segment(cut.turn, cut.segment, delivered=False)
            self._cuts.clear()

    def heard_since(self, since_s: float) -> list[str]:
        """Return the sentences that sounded since then, newest last."""
        with self._lock:
            texts = [segment.text for at_s, segment in self._lately if at_s >= since_s]
            texts += list(dict.fromkeys(sent.segment.text for sent in self._sent))
            return texts

    def sounded(self, now_s: float) -> bytes:
        """Return what has sounded lately, PCM16 at SPEECH_RATE_HZ."""
        with self._lock:
            self._note_played(now_s)
            pieces = [*self._played, *(sent for sent in self._sent if sent.starts_at_s < now_s)]
            sound = (
                resample(
                    sent.segment.audio_from(sent.start_byte, sent.byte_at(now_s) - sent.start_byte),
                    sent.segment.sample_rate,
                    SPEECH_RATE_HZ,
                )
                for sent in pieces
            )
            return b"".join(sound)

    # ---- the way of the sound ----------------------------------------------------------------------------------------

    def _next_sound(self, now_s: float) -> Sound | None:
        while (reading := self._find_segment()) is not None:
            segment, position = reading.segment, reading.position
            max_bytes = int(MAX_CHUNK_S * segment.sample_rate) * BYTES_PER_SAMPLE
            if source := segment.audio_from(position, max_bytes):
                reading.position += len(source)
                sound = self._send(reading, reading.resampler.feed(source), position, now_s)
            elif segment.is_settled:
                self._reading = None
                sound = self._send(reading, reading.resampler.flush(), position, now_s, is_last=True)
            else:
                return None
            if sound is not None:
                return sound
        return None

    def _find_segment(self) -> _Reading | None:
        """Return the segment that is to be sent; None when there is none yet."""
        if self._reading is not None or not self._outlet.turns:
            return self._reading
        turn = self._outlet.turns[0]
        on_their_way = {sent.segment.index for sent in self._sent}
        segment = next((s for s in turn.reply.waiting() if s.index not in on_their_way), None)
        if segment in self._cuts:
            self._reading = self._cuts.pop(segment)
            return self._reading
        if segment is None or segment.is_claimed or not segment.chunks:
            return None
        self._outlet.claim_segment(turn, segment)
        self._reading = _read(turn, segment, 0)
        return self._reading

    def _send(
        self, reading: _Reading, pcm16: bytes, start_byte: int, now_s: float, *, is_last: bool = False
    ) -> Sound | None:
        """Note a piece as sent, and return it unless it is empty."""
        starts_at_s = max(now_s, self._plays_until_s)
        self._plays_until_s = starts_at_s + duration_s(pcm16, LIVE_RATE_HZ)
        self._sent.append(
            _Sent(
                reading.turn, reading.segment, start_byte, reading.position, starts_at_s, self._plays_until_s, is_last
            )
        )
        if not pcm16:
            return None
        sound = Sound(reading.turn, reading.segment, reading.chunk_index, pcm16)
        self._sounded.add(reading.turn.id)
        reading.chunk_index += 1
        return sound

    def _note_played(self, now_s: float) -> None:
        """Settle what the user has heard by now."""
        while self._played and self._played[0].ends_at_s < now_s - PLAYED_S:
            self._played.popleft()
        while self._sent and self._sent[0].ends_at_s <= now_s:
            played = self._sent.popleft()
            self._played.append(played)
            if played.is_last:
                self._lately.append((played.ends_at_s, played.segment))
                self._outlet.settle_segment(played.turn, played.segment, delivered=True)

    def _rewind(self, now_s: float) -> None:
        """Go back to what is being heard now."""
        under_way = [(sent.turn, sent.segment, sent.byte_at(now_s)) for sent in self._sent]
        if self._reading is not None:
            under_way.append((self._reading.turn, self._reading.segment, self._reading.position))
        if not under_way:
            return
        turn, heard, position = under_way[0]
        for segment in {segment.index: segment for _, segment, _ in under_way}.values():
            if segment is not heard:
                self._outlet.settle_segment(turn, segment, delivered=False)
        self._cuts[heard], self._reading = _read(turn, heard, position), None
        self._lately.append((now_s, heard))
        if self._sent:
            self._played.append(replace(self._sent[0], end_byte=position, ends_at_s=now_s))
        self._sent.clear()
        self._plays_until_s = now_s


def _read(turn: Turn, segment: Segment, position: int) -> _Reading:
    return _Reading(turn, segment, position, StreamResampler(segment.sample_rate, LIVE_RATE_HZ))
