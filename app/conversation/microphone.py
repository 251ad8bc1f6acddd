"""A live microphone of a session: windows of sound become utterances, and utterances turns."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from app.audio.endpointing import Endpoint, Endpointer, EndpointRules
from app.audio.pcm import SPEECH_RATE_HZ
from app.audio.resample import StreamResampler
from app.audio.windows import WINDOW_BYTES, WINDOW_MS
from app.config import ListeningConfig
from app.conversation.barge_in import Phase
from app.conversation.events import SpeechRefused, SpeechStarted, SpeechStopped
from app.conversation.hearing import Hearing
from app.conversation.session import Session
from app.errors import RateLimited, StageUnavailable

log = logging.getLogger(__name__)
FED_WINDOWS = 6
"""Speech goes to the recogniser in pieces of so many windows: a message each would cost more than the recognition."""
MAX_WAITING_BYTES = 10 * 2 * SPEECH_RATE_HZ
"""Sound that may wait for the detector; more is lost, as on a machine that cannot keep up."""
OWN_VOICE_WINDOWS = 10
"""So long nothing is heard after the reply's own voice was: to compare costs more than to listen."""
STARVED_S = 2.0
"""A microphone from which nothing comes for so long is silent: a phone in a tunnel, a device that crashed."""
NEVER = math.inf

Mode = Literal["hands_free", "push_to_talk"]


class Microphone:
    """One live microphone.  `feed` and `finish` belong to one thread, the rest to that of the ears."""

    def __init__(
        self,
        session: Session,
        admit: Callable[[], None],
        rules: ListeningConfig,
        *,
        sample_rate: int = SPEECH_RATE_HZ,
        mode: Mode = "hands_free",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.needs_detector = mode == "hands_free"
        self.stream: Any = None
        "What the detector remembers of it."
        self.is_finished = False
        self._session = session
        self._admit = admit
        self._resampler = StreamResampler(sample_rate, SPEECH_RATE_HZ)
        self._endpointer = Endpointer(endpoint_rules(rules))
        self._start_ms = {
            Phase.IDLE: rules.start_ms,
            Phase.THINKING: rules.interrupt_thinking_ms or NEVER,
            Phase.SPEAKING: rules.interrupt_speaking_ms or NEVER,
            Phase.ECHOING: NEVER,
        }
        self._silent_below = rules.threshold / 2
        "A window of a lower probability is not even doubtful."
        self._pre_roll_windows = round(rules.pre_roll_ms / WINDOW_MS)
        longest_start_ms = max(ms for ms in self._start_ms.values() if ms != NEVER)
        self._before: deque[bytes] = deque(maxlen=self._pre_roll_windows + math.ceil(2 * longest_start_ms / WINDOW_MS))
        self._arrived: deque[bytes] = deque()
        # Each is counted by one thread: a number that two threads change would lose some.
        self._fed_bytes = 0
        self._taken_bytes = 0
        self._is_losing = False
        self._clock = clock
        self._heard_at_s = clock()
        self._rest = b""
        self._deaf_windows = 0
        self._is_closed = False
        self._is_abandoned = False
        self._hearing: Hearing | None = None
        self._unfed: list[bytes] = []
        self._pushed_ms = 0.0
        self._longest_ms = 1000 * rules.max_utterance_s
        self._is_enough = False
        "The button is still held, but the service takes no turn now, or the utterance was too long."
        self._calls: deque[tuple[int, Callable[[], object]]] = deque()
        "Who wants to know when so many bytes were heard."
        self._silent_from: float | None = None
        "The byte after the last speech of an utterance that silence has ended."

    # ---- the thread of the connection --------------------------------------------------------------------------------

    def feed(self, pcm16: bytes) -> None:
        """Take sound at the microphone's own rate, any length."""
        if self._fed_bytes - self._taken_bytes > MAX_WAITING_BYTES:
            if not self._is_losing:
                log.warning("sound of session %s is lost: the voice detector does not keep up", self._session.id)
            self._is_losing = True
            return
        self._is_losing = False
        self._arrive(self._resampler.feed(pcm16))

    def finish(self) -> None:
        """Close the microphone; an utterance in progress ends with what has arrived."""
        self._arrive(self._resampler.flush())
        self._is_closed = True

    def abandon(self) -> None:
        """Close the microphone; an utterance in progress is forgotten."""
        self._is_abandoned = self._is_closed = True

    def when_heard(self, call: Callable[[], object]) -> None:
        """Call, from the thread of the ears, when all was heard that was fed so far; at once when it is finished."""
        self._calls.append((self._fed_bytes, call))
        if self.is_finished:
            self._call_back()

    def _arrive(self, pcm16: bytes) -> None:
        self._arrived.append(pcm16)
        self._fed_bytes += len(pcm16)

    # ---- the thread of the ears --------------------------------------------------------------------------------------

    @property
    def has_window(self) -> bool:
        """Whether WINDOW_BYTES have arrived that were not taken."""
        return self._fed_bytes - self._taken_bytes >= WINDOW_BYTES

    def next_window(self) -> bytes | None:
        """Return the next window, WINDOW_BYTES of it, when the one before was heard; None when it has not arrived."""
        if self._calls:
            self._call_back()
        # Asked first: what is fed before the microphone is closed must be found below.
        is_closed = self._is_closed
        if self._is_abandoned or not self.has_window:
            if is_closed:
                self._finish()
            elif self._hearing is not None and self._clock() - self._heard_at_s > STARVED_S:
                self._endpointer.reset()
                self._end("silence")
            return None
        self._heard_at_s = self._clock()
        while len(self._rest) < WINDOW_BYTES:
            self._rest += self._arrived.popleft()
        window, self._rest = self._rest[:WINDOW_BYTES], self._rest[WINDOW_BYTES:]
        self._taken_bytes += WINDOW_BYTES
        return window

    def hear(self, window: bytes, probability: float) -> None:
        """Take the next window and how probable it is that somebody speaks in it."""
        if self._hearing is not None:
            self._go_on(window, self._endpointer.push(probability))
        elif probability < self._silent_below and not self._endpointer.speech_ms and not self._deaf_windows:
            # Most windows of most microphones: nothing begins, so nobody needs to know what it would interrupt.
            self._before.append(window)
        else:
            self._listen(window, probability)

    def _go_on(self, window: bytes, endpoint: Endpoint) -> None:
        self._add(window)
        if endpoint is Endpoint.STOPPED:
            was_too_long = self._endpointer.was_too_long
            silent_bytes = self._endpointer.silence_ms / WINDOW_MS * WINDOW_BYTES
            self._silent_from = None if was_too_long else self._taken_bytes - silent_bytes
            self._end("too-long" if was_too_long else "silence")

    def _listen(self, window: bytes, probability: float) -> None:
        """Find out whether an utterance begins."""
        phase = self._session.barge_in.phase()
        start_ms = self._start_ms[phase]
        if start_ms == NEVER or self._deaf_windows > 0:
            self._deaf_windows = max(0, self._deaf_windows - 1)
            # Nothing of it may count towards an utterance that begins when the reply is over.
            self._endpointer.reset()
            self._before.clear()
            return
        if self._endpointer.push(probability, start_ms) is Endpoint.STARTED:
            self._begin_unless_own_voice(phase, window)
        else:
            self._before.append(window)

    def hear_pushed(self, window: bytes) -> None:
        """Take the next window while a button is held: it is speech."""
        if self._is_enough:
            return
        if self._hearing is None:
            self._pushed_ms = 0.0
            self._begin([window])
        else:
            self._add(window)
        self._pushed_ms += WINDOW_MS
        if self._pushed_ms >= self._longest_ms:
            self._end("too-long")
        self._is_enough = self._hearing is None

    def _begin_unless_own_voice(self, phase: Phase, window: bytes) -> None:
        """Begin an utterance, unless the microphone hears the reply that is being played."""
        n_windows = math.ceil(self._endpointer.utterance_ms / WINDOW_MS)
        utterance = [*self._before, window][-n_windows:]
        if phase is Phase.SPEAKING and self._session.barge_in.is_own_voice(b"".join(utterance)):
            self._endpointer.reset()
            self._deaf_windows = OWN_VOICE_WINDOWS
        else:
            self._learn_pause(n_windows)
            self._begin([*self._before, window][-n_windows - self._pre_roll_windows :])

    def _learn_pause(self, n_windows: int) -> None:
        """Learn from a speaker who goes on so soon that the last utterance was cut off."""
        if self._silent_from is None:
            return
        silent_bytes = self._taken_bytes - n_windows * WINDOW_BYTES - self._silent_from
        pause_ms = silent_bytes / WINDOW_BYTES * WINDOW_MS
        if pause_ms <= self._endpointer.rules.max_silence_ms:
            self._endpointer.resumed_after(pause_ms)

    def _begin(self, windows: list[bytes]) -> None:
        self._before.clear()
        try:
            self._admit()
            self._hearing = self._session.hear(takes_over=True)
        except (StageUnavailable, RateLimited) as error:
            self._session.log.append("", SpeechRefused(error.code, error.message))
            return
        self._session.log.append(self._hearing.turn.id, SpeechStarted())
        self._hearing.feed(b"".join(windows))

    def _add(self, window: bytes) -> None:
        self._unfed.append(window)
        if len(self._unfed) >= FED_WINDOWS and self._hearing is not None:
            self._hearing.feed(b"".join(self._unfed))
            self._unfed.clear()

    def _end(self, reason: str, rest: bytes = b"") -> None:
        hearing, self._hearing = self._hearing, None
        speech = b"".join([*self._unfed, rest])
        self._unfed.clear()
        if hearing is not None:
            self._session.log.append(hearing.turn.id, SpeechStopped(reason))
            hearing.finish(speech)

    def _finish(self) -> None:
        if self.is_finished:
            return
        try:
            if self._is_abandoned and self._hearing is not None:
                self._hearing.abandon("hung-up")
                self._hearing = None
            self._end("stopped", b"".join([self._rest, *self._arrived]))
        finally:
            self.is_finished = True
        self._call_back()

    def _call_back(self) -> None:
        """Make the calls that are due."""
        # Of a microphone that has just finished both threads may take the last call.
        with contextlib.suppress(IndexError):
            while self.is_finished or self._has_heard(self._calls[0][0]):
                self._calls.popleft()[1]()

    def _has_heard(self, n_bytes: int) -> bool:
        """Say whether the first so many bytes were heard; the rest of a window is heard with what follows."""
        return not self._is_closed and self._taken_bytes > n_bytes - WINDOW_BYTES


def endpoint_rules(config: ListeningConfig) -> EndpointRules:
    """Return the part of the settings that decides when an utterance begins and ends."""
    return EndpointRules(
        threshold=config.threshold,
        start_ms=config.start_ms,
        silence_ms=config.silence_ms,
        max_utterance_s=config.max_utterance_s,
        adaptive_silence=config.adaptive_silence,
        min_silence_ms=config.min_silence_ms,
        max_silence_ms=config.max_silence_ms,
    )
