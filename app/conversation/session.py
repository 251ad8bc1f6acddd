"""One conversation with one device or page."""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace

from app.audio.pcm import SPEECH_RATE_HZ, is_silent
from app.conversation.barge_in import SURE_WORDS, BargeIn
from app.conversation.delivery import Outlet
from app.conversation.events import EventLog, SegmentDelivered, TurnFailed, TurnStarted
from app.conversation.hearing import Hearing
from app.conversation.history import History
from app.conversation.line import Line
from app.conversation.preferences import Preferences
from app.conversation.segments import Segment
from app.conversation.surroundings import Surroundings
from app.conversation.timers import Timers
from app.conversation.turns import Turn
from app.errors import RateLimited, StageUnavailable, TurnNotFound
from app.llm.sentences import split_sentences
from app.messages import (
    Action,
    ChatMessage,
    Message,
    Prompt,
    Sentence,
    SpeechChunk,
    StageDone,
    StageFailed,
    Transcript,
    UtteranceChunk,
)
from app.pipeline.jobs import HubJob

log = logging.getLogger(__name__)


class Session:
    """Turns in their order, the event log, history and timers of one device.

    May be used from any thread: one lock guards everything.
    """

    def __init__(self, session_id: str, around: Surroundings) -> None:
        self.id = session_id
        self.lock = threading.RLock()
        self.log = EventLog(session_id, self.lock, around.config.max_events, around.listeners)
        self.outlet = Outlet(self.lock, self._on_delivered, self.log.wake_followers)
        self.timers = Timers(around.config.max_timers, around.config.max_timer_s)
        self.preferences = Preferences(around.choices)
        "What this session chose for itself; replaced when it chooses anew."
        self.last_used_s = self._heard_at_s = around.clock()
        self._around = around
        self._history = History(around.config.history_turns)
        self._line = Line()
        self.barge_in = BargeIn(self._line, self.log, self.lock, around.clock, guards_echo=around.guards_echo)

    # ---- what begins a turn ---------------------------------------------------------------------------------------

    def say_heard(self, pcm16: bytes, *, is_polled: bool = True) -> Turn:
        """Answer a complete utterance: PCM16 mono at SPEECH_RATE_HZ."""
        turn = self._new_turn("heard", is_polled)
        turn.add_speech(pcm16, is_last=True, now_s=self._around.clock())
        is_empty = is_silent(pcm16, SPEECH_RATE_HZ)
        return self._enqueue(turn, lambda: turn.nothing_heard() if is_empty else [turn.utterance()])

    def hear(self, *, is_polled: bool = True, takes_over: bool = False) -> Hearing:
        """Answer an utterance that is still arriving.

        takes_over: it is heard at once, over a reply in progress, and replaces that when words are understood.
        """
        turn = self._new_turn("heard", is_polled)
        turn.takes_over = takes_over
        return Hearing(self, self._enqueue(turn, lambda: [turn.utterance()]))

    def say_text(self, text: str, *, is_polled: bool = True) -> Turn:
        """Answer typed words."""
        turn = self._new_turn("typed", is_polled)
        turn.heard = text
        return self._enqueue(turn, lambda: [self._prompt(turn, text)])

    def speak(self, text: str) -> Turn:
        """Say something without being asked."""
        turn = self._new_turn("said", True)
        return self._enqueue(turn, lambda: turn.say(list(split_sentences([text]))))

    def play(self, pcm16: bytes, sample_rate: int) -> Turn:
        """Play ready audio without being asked."""
        turn = self._new_turn("said", True)
        return self._enqueue(turn, lambda: turn.play(pcm16, sample_rate))

    def interrupt(self, reason: str, *, is_superseded: bool = False) -> list[Turn]:
        """Cancel the turn in progress, those that wait and what is not yet delivered; return what was cancelled.

        is_superseded: another turn follows at once, so pollers are not told of the end of the old ones.
        """
        with self.lock:
            cancelled = self._line.unheard
            self._cancel(cancelled, reason)
            if is_superseded and self.barge_in.player is None:
                self.outlet.drop_all()
            self.barge_in.go_on()
        return cancelled

    def _cancel(self, turns: list[Turn], reason: str) -> None:
        player = self.barge_in.player
        if turns and player is not None:
            player.pause(self._around.clock())
        self._line.leave(turns)
        for turn in turns:
            was_open = turn.end is None
            if player is not None:
                player.cut_off(turn)
            turn.cancel(reason)
            if was_open:
                self._after_end(turn)
        self.outlet.more_to_take()

    # ---- what readers ask -----------------------------------------------------------------------------------------

    def turn(self, turn_id: str) -> Turn:
        """Return a turn that is still kept; raises TurnNotFound."""
        with self.lock:
            if (turn := self._line.find(turn_id)) is not None:
                return turn
        kept_s = self._around.config.segments_kept_s
        raise TurnNotFound(f"this session keeps no turn {turn_id!r}; a turn is kept for {kept_s:g} s after its end")

    def is_idle(self, now_s: float) -> bool:
        """True when nobody would miss the session."""
        unused_s = now_s - self.last_used_s
        is_used = self._line.current is not None or self.barge_in.player is not None or len(self.timers) > 0
        return not is_used and unused_s > self._around.config.idle_timeout_s

    def touch(self) -> None:
        """Note that somebody uses the session."""
        self.last_used_s = self._around.clock()

    # ---- the clock ------------------------------------------------------------------------------------------------

    @property
    def needs_clock(self) -> bool:
        return len(self._line) > 0 or len(self.timers) > 0

    def tick(self, now_s: float) -> None:
        """Ring timers, end a turn that makes no progress, let go of old ones."""
        with self.lock:
            for timer in self.timers.due(now_s):
                try:
                    self.speak(f"Your {timer.name} timer is done." if timer.name else "Your timer is done.")
                except RateLimited as error:
                    log.warning("a timer of session %s could not ring: %s", self.id, error.code)
            for turn, failure in self._line.overdue(now_s, self._around.config):
                turn.finish(failure)
                self._settle(turn)
            for turn in self._line.take_old(now_s, self._around.config.segments_kept_s, self._heard_at_s):
                self._drop(turn)
                turn.reply.let_go()

    # ---- turns in their order -------------------------------------------------------------------------------------

    def _new_turn(self, kind: str, is_polled: bool) -> Turn:
        turn_id = uuid.uuid4().hex[:12]
        return Turn(
            turn_id, self.id, kind, is_polled, lambda fact: self.log.append(turn_id, fact), self._around.clock()
        )

    def _enqueue(self, turn: Turn, begin: Callable[[], list[Message]]) -> Turn:
        """Put a turn in line; `begin` gives its first messages when its time has come."""
        with self.lock:
            n_waiting = len(self._line.open_turns) - 1
            if n_waiting >= self._around.config.max_queued_turns:
                raise RateLimited(f"{n_waiting} utterances of this session wait already; fetch their replies first")
            self.touch()
            turn.begin = begin
            if turn.takes_over:
                self.barge_in.pause()
            may_start = self._line.add(turn)
            self._around.on_turn_open(turn)
            if turn.is_polled:
                self.outlet.add(turn, is_first=turn.takes_over)
            if may_start:
                self._start(turn)
        return turn

    def _start(self, turn: Turn) -> None:
        turn.marks["started"] = turn.last_progress_s = self._around.clock()
        self.log.append(turn.id, TurnStarted(turn.kind))
        self._submit(turn, turn.begin())
        self._settle(turn)

    def _submit(self, turn: Turn, messages: list[Message]) -> None:
        for message in messages:
            if turn.end is not None:
                return
            try:
                spoken = self.preferences.give_voice(message)
                ticket = self._around.pipeline.submit(spoken, lambda job, given: self._on_message(turn, job, given))
            except StageUnavailable as error:
                turn.finish(TurnFailed(error.code, error.message))
                return
            if isinstance(message, Sentence):
                turn.segments[message.index].ticket = ticket
            else:
                turn.tickets.append(ticket)

    def _on_message(self, turn: Turn, job: HubJob, message: Message) -> None:
        """Take what a stage gives; called from the pipeline's thread."""
        with self.lock:
            turn.last_progress_s = self._around.clock()
            if turn.takes_over and isinstance(message, Transcript):
                message = self._take_over(turn, message)
            if isinstance(message, Action):
                if turn.end is None and (fact := self.timers.carry_out(message, self._around.clock())) is not None:
                    self.log.append(turn.id, fact)
            else:
                self._submit(turn, turn.receive(job, message, lambda heard: self._prompt(turn, heard)))
                self._tell_readers(message)
                self._settle(turn)

    def _take_over(self, turn: Turn, transcript: Transcript) -> Transcript:
        """Cancel the replies before a turn that has words; return the transcript, empty when it is only an echo."""
        is_sure = transcript.is_final or len(transcript.text.split()) >= SURE_WORDS
        if not turn.is_being_heard or not is_sure:
            return transcript
        if self.barge_in.understands(turn, transcript.text):
            earlier = itertools.takewhile(lambda other: other is not turn, self._line.unheard)
            before = [other for other in earlier if not other.is_being_heard]
            self._cancel(before, "new-utterance")
            self.barge_in.take_over(turn)
            return transcript
        return replace(transcript, text="") if transcript.is_final else transcript

    def _tell_readers(self, message: Message) -> None:
        if isinstance(message, SpeechChunk):
            self.outlet.more_audio()
        elif isinstance(message, (StageDone, StageFailed)) and message.stage == "tts":
            self.outlet.more_to_take()

    def _settle(self, turn: Turn) -> None:
        """Do once what follows a turn's end."""
        if turn.end is not None and "ended" not in turn.marks:
            self._after_end(turn)

    def _after_end(self, turn: Turn) -> None:
        turn.marks["ended"] = self._around.clock()
        if isinstance(turn.end, TurnFailed):
            log.warning("turn %s of session %s failed: %s: %s", turn.id, self.id, turn.end.code, turn.end.message)
            if (apology := self._around.apology) is not None and apology.pcm16:
                turn.apologise(apology.text, apology.pcm16, apology.sample_rate)
        self._history.add(turn)
        self._around.on_turn_end(turn)
        self.outlet.more_to_take()
        if (following := self._line.end(turn)) is not None:
            self._start(following)
        if turn.takes_over:
            self.barge_in.go_on()

    def _prompt(self, turn: Turn, heard: str) -> Prompt:
        now_s = turn.marks["prompt"] = self._around.clock()
        chosen, running = self.preferences, self.timers.running(now_s)
        told = chosen.system_prompt(self._around.system_prompt)
        system = [ChatMessage("system", told)] if told else []
        messages = (*system, *self._history.messages(chosen.names_speakers), ChatMessage("user", heard))
        return Prompt(turn.header, messages, running, self._history.last_reply, chosen.options(), chosen.speaking)

    def _on_delivered(self, turn: Turn, segment: Segment) -> None:
        self._heard_at_s = self._around.clock()
        self.log.append(turn.id, SegmentDelivered(segment.index, segment.heard_s))

    # ---- speech that is still arriving ----------------------------------------------------------------------------

    def feed(self, turn: Turn, pcm16: bytes, is_last: bool) -> None:
        """Add speech to a turn whose utterance is still arriving."""
        with self.lock:
            now_s = turn.last_progress_s = self._around.clock()
            turn.add_speech(pcm16, is_last, now_s)
            for ticket in turn.tickets:
                ticket.feed(UtteranceChunk(turn.header, pcm16, is_last))

    def forget(self, turn: Turn, reason: str) -> None:
        """End a turn that nobody will ask for; one that has ended stays as it is."""
        with self.lock:
            self._drop(turn)
            if turn.end is None:
                turn.cancel(reason)
            self._settle(turn)

    def _drop(self, turn: Turn) -> None:
        """Have pollers not told of a turn's end; a live client is told of every one."""
        if self.barge_in.player is None:
            self.outlet.drop(turn)
        self.outlet.more_to_take()
