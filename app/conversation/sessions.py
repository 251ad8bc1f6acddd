"""All sessions of a service: opening them, admitting turns, the clock, and going to rest."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.audio.pcm import tone
from app.config import Config
from app.conversation.events import Event, TurnDone, TurnFailed
from app.conversation.preferences import Choices
from app.conversation.session import Session
from app.conversation.surroundings import SpokenApology, Surroundings
from app.conversation.turns import Turn
from app.errors import SessionNotFound, StageUnavailable
from app.messages import Header, Message, Sentence, SpeechChunk, StageDone, StageFailed
from app.metrics import Metrics
from app.pipeline.jobs import HubJob
from app.pipeline.pipeline import Pipeline

log = logging.getLogger(__name__)
TONE_RATE_HZ = 16_000


class Sessions:
    """The sessions by name.  May be used from any thread."""

    def __init__(
        self,
        pipeline: Pipeline,
        metrics: Metrics,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._server = config.server
        self._config = config.session
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._open_turns = 0
        self._is_stopping = False
        self._around = Surroundings(
            pipeline,
            config.session,
            clock,
            self._on_turn_open,
            self._on_turn_end,
            config.llm.system_prompt,
            Choices(config.characters, config.llm.models, config.tts.voices),
            config.listening.echo_guard,
        )
        metrics.sessions.set_function(lambda: len(self._sessions))
        metrics.open_turns.set_function(lambda: self._open_turns)
        self._apology_audio: list[SpeechChunk] = []
        self._apology_is_asked_for = False
        pipeline.every_tick(self.tick)

    def open(self, session_id: str) -> Session:
        """Return the session of that name, new or old; raises StageUnavailable when there are too many."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                self._make_room()
                session = self._sessions[session_id] = Session(session_id, self._around)
        session.touch()
        return session

    def find(self, session_id: str) -> Session:
        """Return a session that is alive; raises SessionNotFound."""
        with self._lock:
            try:
                return self._sessions[session_id]
            except KeyError:
                raise SessionNotFound(f"no session {session_id!r} is alive; an upload opens one") from None

    def all(self) -> list[Session]:
        with self._lock:
            return list(self._sessions.values())

    def admit(self) -> None:
        """Raise StageUnavailable when a new turn could not be answered in good time."""
        self._check(self._pipeline.takes_work)
        if self._open_turns >= self._server.max_open_turns:
            text = f"{self._open_turns} turns are open, which is the limit (server.max_open_turns); try again soon"
            raise StageUnavailable(text, retry_after_s=2.0)
        wait_s = self._pipeline.expected_wait_s()
        if wait_s > self._server.max_wait_s:
            text = f"a new turn would wait about {wait_s:.0f} s (server.max_wait_s is {self._server.max_wait_s:g})"
            raise StageUnavailable(text, retry_after_s=round(wait_s / 2, 1))

    def check_ready(self) -> None:
        """Raise StageUnavailable that says why not every stage is ready, when one is not."""
        self._check(self._pipeline.is_ready)

    def _check(self, stages_work: bool) -> None:
        if self._is_stopping:
            text = "the service is stopping; try again when it is back"
            raise StageUnavailable(text, code="stopping", retry_after_s=5.0)
        if not stages_work or self._around.apology is None:
            failures = "; ".join(f"{name}: {text}" for name, text in self._pipeline.failures().items())
            text = f"the stages are starting{': ' + failures if failures else ', which takes some seconds'}"
            raise StageUnavailable(text, code="starting", retry_after_s=1.0)

    @property
    def is_ready(self) -> bool:
        """True when every stage has a worker and the apology is rendered."""
        return self._pipeline.is_ready and self._around.apology is not None

    @property
    def open_turns(self) -> int:
        return self._open_turns

    def listen(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event of every session; it must only pass the event on.  Returns what ends it."""
        self._around.listeners.append(callback)
        return lambda: self._around.listeners.remove(callback)

    def begin_to_stop(self) -> None:
        """Take no new turns; those that are open go on."""
        self._is_stopping = True

    @property
    def is_at_rest(self) -> bool:
        """True when no turn is open and every reply was fetched."""
        return self._open_turns == 0 and all(session.outlet.is_empty for session in self.all())

    def tick(self) -> None:
        """Look after the sessions; called about four times a second."""
        now_s = self._clock()
        if self._around.apology is None and self._pipeline.is_ready:
            self._render_apology()
        for session in self.all():
            if session.needs_clock:
                session.tick(now_s)
            elif session.is_idle(now_s):
                self._close(session)

    def _make_room(self) -> None:
        if len(self._sessions) < self._server.max_sessions:
            return
        unused = [s for s in self._sessions.values() if not s.needs_clock and s.barge_in.player is None]
        if not unused:
            text = f"{len(self._sessions)} sessions are in use, which is the limit (server.max_sessions)"
            raise StageUnavailable(text, retry_after_s=10.0)
        del self._sessions[min(unused, key=lambda s: s.last_used_s).id]

    def _close(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.id, None)

    def _on_turn_open(self, turn: Turn) -> None:
        with self._lock:
            self._open_turns += 1

    def _on_turn_end(self, turn: Turn) -> None:
        with self._lock:
            self._open_turns -= 1
        outcome = {TurnDone: "done", TurnFailed: "failed"}.get(type(turn.end), "cancelled")
        self._metrics.turns.labels(outcome).inc()
        if "first_speech" in turn.marks and "uploaded" in turn.marks:
            self._metrics.first_speech_s.observe(max(0.0, turn.marks["first_speech"] - turn.marks["uploaded"]))

    # ---- the apology ----------------------------------------------------------------------------------------------

    def _render_apology(self) -> None:
        """Have the apology spoken while the voice works."""
        if not self._config.apology:
            self._around.apology = SpokenApology("", b"", TONE_RATE_HZ)
        elif not self._apology_is_asked_for:
            self._apology_is_asked_for = True
            self._pipeline.submit(Sentence(Header("", "apology"), 0, self._config.apology), self._on_apology)

    def _on_apology(self, job: HubJob, message: Message) -> None:
        if isinstance(message, SpeechChunk):
            self._apology_audio.append(message)
        elif isinstance(message, (StageDone, StageFailed)):
            pcm16 = b"".join(chunk.pcm16 for chunk in self._apology_audio)
            if pcm16:
                rate = self._apology_audio[0].sample_rate
                self._around.apology = SpokenApology(self._config.apology, pcm16, rate)
            else:
                log.warning("the apology cannot be spoken; a tone stands in for it")
                self._around.apology = SpokenApology(self._config.apology, tone(440.0, 0.4, TONE_RATE_HZ), TONE_RATE_HZ)
            self._apology_audio.clear()
