"""One live connection, whose time the test skips: what comes first, who is let go, and what follows what."""

from __future__ import annotations

import asyncio
import functools
import json
import selectors
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from app.config import Config, SessionConfig
from app.conversation.ears import Ears
from app.conversation.session import Session
from app.conversation.sessions import Sessions
from app.devices import Devices
from app.dialects.live import CLOSE_REPLACED, CLOSE_SILENT, STUCK_S, Conversation
from app.messages import Sentence, SpeechChunk, StageDone
from app.metrics import Metrics
from app.service import Service
from tests.conversation.stages import ScriptedPipeline
from tests.live_contract import ContractChecker

LIVENESS_S = Config().listening.liveness_timeout_s


class SkippedTime(selectors.DefaultSelector):
    """Passes the time in which nothing happens at once."""

    now_s = 100.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.now_s += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes as fast as it can."""

    def __init__(self) -> None:
        self._skipped = SkippedTime()
        super().__init__(self._skipped)

    def time(self) -> float:
        return self._skipped.now_s


def without_waiting(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine, in skipped time."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        loop = SkippingLoop()
        try:
            loop.run_until_complete(test(*arguments, **named))
        finally:
            loop.close()

    return run


class House:
    """A service whose stages the test plays."""

    def __init__(self, **session: Any) -> None:
        """session: settings that are not the defaults."""
        self.stages = ScriptedPipeline()
        config, metrics = Config(session=SessionConfig(**session)), Metrics()
        clock = asyncio.get_running_loop().time
        sessions = Sessions(self.stages, metrics, config, clock)  # type: ignore[arg-type]
        sessions.tick()
        self.stages.speak(self.stages.last(Sentence), b"\x01\x02")
        ears = Ears(lambda: pytest.fail("nobody speaks here"))
        self.service = Service(
            config,
            metrics,
            self.stages,
            sessions,
            ears,
            Devices(),
            threading.Semaphore(),  # type: ignore[arg-type]
        )
        self.session: Session = sessions.open("desk")

    def answer(self, text: str, seconds: float) -> None:
        """Let typed words be answered."""
        self.session.say_text("hello")
        for job in self.stages.answer(text):
            assert isinstance(job.message, Sentence)
            chunk = SpeechChunk(job.header, job.message.index, bytes(round(48_000 * seconds)), 24_000)
            self.stages.give(job, chunk, StageDone(job.header, "tts"))


Take = Callable[[dict[str, Any]], Awaitable[object]]


async def at_once(frame: dict[str, Any]) -> None:
    """Take a frame."""


def until_it_is(is_last: Callable[[dict[str, Any]], bool]) -> Take:
    """Return what takes all frames before this one, and then none."""

    async def take(frame: dict[str, Any]) -> None:
        if is_last(frame):
            await asyncio.Event().wait()

    return take


class Client:
    """The other side of a connection."""

    def __init__(self, house: House, take: Take = at_once) -> None:
        """take: returns when the connection has taken a frame."""
        self.checker = ContractChecker()
        self.told: list[dict[str, Any]] = []
        self.code: int | None = None
        self.n_bytes = 0
        self._take = take
        self._says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.conversation = Conversation(house.service, house.session, self._send, asyncio.get_running_loop().time)
        self.life = asyncio.get_running_loop().create_task(self.conversation.hold(self._says.get))

    def say(self, kind: str, **data: Any) -> None:
        self._says.put_nowait({"type": "websocket.receive", "text": json.dumps({"type": kind, "data": data})})

    def types(self) -> list[str]:
        return [message["type"] for message in self.told]

    async def hang_up(self) -> None:
        self._says.put_nowait({"type": "websocket.disconnect"})
        await self.life

    async def _send(self, frame: dict[str, Any]) -> None:
        await self._take(frame)
        if frame["type"] == "websocket.close":
            self.code = frame["code"]
        elif "bytes" in frame:
            self.n_bytes += len(frame["bytes"])
            self.checker.received_binary(frame["bytes"])
        else:
            self.told.append(json.loads(frame["text"]))
            self.checker.received(self.told[-1])


@without_waiting
async def test_an_answer_is_played_and_over() -> None:
    """Played for as long as it lasts."""
    house = House()
    client = Client(house)
    house.answer("A long story.", 5.0)
    await asyncio.sleep(4.9)
    assert "turn_complete" not in client.types()
    await asyncio.sleep(0.2)
    assert client.types()[-1] == "turn_complete"
    assert client.n_bytes == 5 * 48_000
    await client.hang_up()
    client.checker.finish()


@without_waiting
async def test_what_a_poller_gives_back_is_played() -> None:
    """A device that polled, lost its connection, and now talks live."""
    house = House()
    house.answer("A long story.", 5.0)
    claim = house.session.outlet.claim(0)
    assert claim is not None
    client = Client(house)
    await asyncio.sleep(1.0)
    assert client.n_bytes == 0
    claim.settle(False)
    await asyncio.sleep(6.0)
    assert client.n_bytes == 5 * 48_000
    await client.hang_up()


# ---- its end ---------------------------------------------------------------------------------------------------------


@without_waiting
async def test_a_silent_client_is_asked_then_let_go() -> None:
    """Not as long as it answers."""
    client = Client(House())
    await asyncio.sleep(LIVENESS_S - 10)
    client.say("pong")
    await asyncio.sleep(20.0)
    assert "ping" in client.types()
    await asyncio.wait_for(client.life, LIVENESS_S)
    assert client.code == CLOSE_SILENT


@without_waiting
async def test_a_client_that_takes_nothing_is_let_go() -> None:
    """What it has not taken waits for its next connection."""
    house = House()
    client = Client(house, until_it_is(lambda frame: "bytes" in frame))
    house.answer("A long story.", 5.0)
    await asyncio.sleep(STUCK_S - 1)
    assert not client.life.done()
    await asyncio.wait_for(client.life, 10.0)
    assert house.session.barge_in.player is None
    after = Client(house)
    await asyncio.sleep(6.0)
    assert after.n_bytes == 5 * 48_000
    await after.hang_up()


@without_waiting
async def test_a_client_that_does_not_even_take_its_end() -> None:
    """It is let go too, and does not talk on meanwhile."""
    house = House()
    stuck = Client(house, until_it_is(lambda frame: frame["type"] == "websocket.close"))
    await asyncio.sleep(0)
    newer = Client(house)
    await asyncio.sleep(0.1)
    assert stuck.told[-1]["code"] == "replaced"
    stuck.say("user_message", text="Good day!")
    stuck.conversation.take_sound(bytes(640))
    await asyncio.sleep(0.1)
    assert "turn_started" not in [event.name for event in house.session.log.read(0, 0)]
    await asyncio.wait_for(stuck.life, STUCK_S + 10)
    await newer.hang_up()


@without_waiting
async def test_one_that_is_replaced_at_once_knows_its_session() -> None:
    """`session` is the first message, whatever follows."""
    house = House()
    older, newer = Client(house), Client(house)
    await asyncio.wait_for(older.life, 5.0)
    assert older.types() == ["session", "error"]
    assert older.code == CLOSE_REPLACED
    await newer.hang_up()


# ---- the order -------------------------------------------------------------------------------------------------------


class ContestedLock:
    """A lock that another thread is always quicker to take when it wants to."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self.quicker: Callable[[], object] | None = None

    def __enter__(self) -> None:
        act, self.quicker = self.quicker, None
        with self._lock:
            if act is not None:
                act()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@without_waiting
async def test_what_has_happened_is_told_before_what_is_taken() -> None:
    """A reply that another thread ends while its next sound is about to be taken is first said to be interrupted."""
    house = House()
    lock = house.session.lock = ContestedLock(house.session.lock)  # type: ignore[assignment]

    async def interrupt_at_first_sound(frame: dict[str, Any]) -> None:
        if "bytes" in frame:
            lock.quicker = lambda: house.session.interrupt("new-utterance")

    client = Client(house, interrupt_at_first_sound)
    house.answer("A long story.", 5.0)
    await asyncio.sleep(1.0)
    assert client.types()[-2:] == ["interrupted", "turn_complete"]
    await client.hang_up()


@without_waiting
async def test_a_client_for_which_the_log_is_too_short_is_told_the_end() -> None:
    """It takes nothing for a while, in which its reply is interrupted and much else happens."""
    house = House(max_events=4)
    goes_on = asyncio.Event()

    async def take_slowly(frame: dict[str, Any]) -> None:
        if "bytes" in frame:
            await goes_on.wait()

    client = Client(house, take_slowly)
    house.answer("A long story.", 5.0)
    await asyncio.sleep(0.1)
    house.session.interrupt("new-message")
    house.answer("Another one.", 1.0)
    await asyncio.sleep(0.1)
    goes_on.set()
    await asyncio.sleep(3.0)
    turns = [message["turn_id"] for message in client.told if message["type"] == "interrupted"]
    assert turns == [client.told[1]["turn_id"]]
    assert client.types().count("turn_complete") == 2
    await client.hang_up()
    client.checker.finish()
