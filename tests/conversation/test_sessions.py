"""All sessions together: admission, limits, rest and the apology."""

from __future__ import annotations

from typing import Any

import pytest

from app.config import Config, ServerConfig
from app.conversation.player import Player
from app.conversation.sessions import Sessions
from app.errors import SessionNotFound, StageUnavailable
from app.messages import Sentence
from app.metrics import Metrics
from tests.conversation.stages import SPEECH, ScriptedPipeline


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def make(clock: Clock | None = None, **server: Any) -> tuple[Sessions, ScriptedPipeline]:
    """Return sessions that are ready, with their apology spoken."""
    stages = ScriptedPipeline()
    config = Config(server=ServerConfig(**server))
    sessions = Sessions(stages, Metrics(), config, clock=clock or Clock())  # type: ignore[arg-type]
    sessions.tick()
    stages.speak(stages.last(Sentence), b"\x01\x02")
    assert sessions.is_ready
    return sessions, stages


def code_of(sessions: Sessions) -> str:
    with pytest.raises(StageUnavailable) as raised:
        sessions.admit()
    assert raised.value.retry_after_s
    return raised.value.code


def test_a_name_is_one_session() -> None:
    """The same name gives the same session; an unknown name can be asked for without opening one."""
    sessions, _ = make()
    assert sessions.open("kitchen") is sessions.open("kitchen")
    assert sessions.find("kitchen") is sessions.open("kitchen")
    with pytest.raises(SessionNotFound):
        sessions.find("attic")


def test_nothing_is_admitted_before_the_apology_is_spoken() -> None:
    """The service is ready only when it could also apologise."""
    stages = ScriptedPipeline()
    sessions = Sessions(stages, Metrics(), Config())  # type: ignore[arg-type]
    sessions.tick()
    assert code_of(sessions) == "starting"


def test_a_voice_that_cannot_apologise_beeps() -> None:
    """A voice that fails at start does not keep the service from starting."""
    stages = ScriptedPipeline()
    sessions = Sessions(stages, Metrics(), Config())  # type: ignore[arg-type]
    sessions.tick()
    stages.fail(stages.last(Sentence), "tts")
    sessions.admit()


def test_the_limit_of_open_turns() -> None:
    """More turns than the machine should hold are refused at the door, until one has ended."""
    sessions, _ = make(max_open_turns=1)
    session = sessions.open("kitchen")
    session.say_heard(SPEECH)
    assert code_of(sessions) == "overloaded"
    session.interrupt("test")
    sessions.admit()


def test_a_wait_that_is_too_long() -> None:
    """Work is refused when it would wait longer than the operator allows."""
    sessions, stages = make(max_wait_s=5.0)
    stages.wait_s = 6.0
    assert code_of(sessions) == "overloaded"


def test_a_dead_stage_refuses_work() -> None:
    """A stage that will not be back soon is told of with 503."""
    sessions, stages = make()
    stages.takes_work = False
    assert code_of(sessions) == "starting"


def test_the_limit_of_sessions() -> None:
    """The session that was unused longest makes room; sessions in use never do."""
    clock = Clock()
    sessions, _ = make(clock, max_sessions=2)
    old = sessions.open("old")
    clock.now_s += 1
    sessions.open("new").say_heard(SPEECH)
    sessions.open("third")
    with pytest.raises(SessionNotFound):
        sessions.find("old")
    sessions.find("third").say_heard(SPEECH)
    with pytest.raises(StageUnavailable):
        sessions.open("fourth")
    assert old.id == "old"


def test_idle_sessions_are_cleaned_away() -> None:
    """A session that nobody has used for long is gone."""
    clock = Clock()
    sessions, _ = make(clock)
    sessions.open("kitchen")
    clock.now_s += Config().session.idle_timeout_s + 1
    sessions.tick()
    assert sessions.all() == []


def test_a_session_with_a_live_client_is_never_idle() -> None:
    """However soon the others are cleaned away."""
    clock = Clock()
    sessions, _ = make(clock)
    session = sessions.open("desk")
    player = Player(session.outlet, session.lock, 2.0)
    session.barge_in.take_seat(player, lambda: None)
    clock.now_s += 1000
    sessions.tick()
    assert sessions.open("desk") is session
    session.barge_in.leave_seat(player)
    clock.now_s += 1000
    sessions.tick()
    assert sessions.open("desk") is not session


def test_going_to_rest() -> None:
    """A stopping service takes no new turns, and rests when what was said has been fetched."""
    sessions, _ = make()
    session = sessions.open("kitchen")
    session.play(b"\x01\x02", 16_000)
    sessions.begin_to_stop()
    assert code_of(sessions) == "stopping"
    assert not sessions.is_at_rest
    for _ in range(2):
        claim = session.outlet.claim(0)
        assert claim is not None
        claim.settle(True)
    assert sessions.is_at_rest
