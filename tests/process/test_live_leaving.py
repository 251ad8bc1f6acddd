"""Live clients that leave at any moment, come back five hundred times or stop reading: nothing is left of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import psutil
import pytest

from tests.process.live import LiveClient, in_loop, new_session, speech, talk
from tests.process.live_service import LONG, live_config, split
from tests.serving import RunningService, serve

pytestmark = pytest.mark.process

N_RECONNECTS = 500
AT_ONCE = 10
MAX_GROWTH_BYTES = 30_000_000


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(live_config()) as running:
        yield running


async def nothing(client: LiveClient) -> None:
    """Leave right after the connection was made."""


async def listening(client: LiveClient) -> None:
    await client.send("start_listening")
    await client.settle()


async def speaking(client: LiveClient) -> None:
    await client.send("start_listening")
    await client.send_sound(speech())
    await client.until("speech_started")


async def holding_the_button(client: LiveClient) -> None:
    await client.send("start_listening", mode="push_to_talk")
    await client.send_sound(speech())
    await client.until("speech_started")


async def waiting(client: LiveClient) -> None:
    await client.type(LONG)


async def hearing(client: LiveClient) -> None:
    await client.type(LONG)
    await client.until("audio_chunk_meta")


async def speaking_over_the_reply(client: LiveClient) -> None:
    await hearing(client)
    await client.send("start_listening")
    await client.send_sound(speech())
    await client.until("interrupted")


STATES = (nothing, listening, speaking, holding_the_button, waiting, hearing, speaking_over_the_reply)
WAYS = ("close", "break_off", "end_half")


async def leave(client: LiveClient, way: str) -> None:
    client.leaves_early = True
    if way == "close":
        await client.socket.close()
    else:
        getattr(client, way)()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", STATES)
@in_loop
async def test_leaving(service: RunningService, state: Callable[[LiveClient], Awaitable[None]], way: str) -> None:
    """Whatever a client was about when it left, in whatever way, the next one of its session is answered."""
    session = new_session()
    async with talk(service, session) as client:
        await state(client)
        await leave(client, way)
    async with talk(service, session) as client:
        await client.type("And now?")
        end = await client.until("turn_complete", heard="And now?")
        assert (end["outcome"], end["spoken"]) == ("done", "You said: And now?")


@in_loop
async def test_leaving_in_mid_speech_over_a_reply(service: RunningService) -> None:
    """Half an utterance is forgotten, and the reply under it is heard on the next connection."""
    session = new_session()
    async with talk(service, session) as client:
        await speaking_over_the_reply(client)
        await leave(client, "break_off")
    async with talk(service, session) as client:
        end = await client.until("turn_complete", heard=LONG)
        assert (end["outcome"], end["spoken"]) == ("done", " ".join(split(f"You said: {LONG}")))


@in_loop
async def test_a_client_that_does_not_read(service: RunningService) -> None:
    """While it is talked to others are answered, and in its own session a newer connection is."""
    session = new_session()
    async with talk(service, session) as deaf, talk(service) as other:
        deaf.leaves_early = True
        deaf.stop_reading()
        await deaf.type((LONG + " ") * 8)
        await deaf.send("start_listening")
        for n in range(3):
            await other.type(f"Question {n}.")
            assert (await other.until("turn_complete"))["outcome"] == "done"
        async with talk(service, session) as newer:
            await newer.type("And now?")
            assert (await newer.until("turn_complete", heard="And now?"))["outcome"] == "done"
        deaf.break_off()


# ---- many times ------------------------------------------------------------------------------------------------------


def worker(service: RunningService) -> psutil.Process:
    """Return the process that holds the connections."""
    (process,) = psutil.Process(service.process.pid).children()
    return process


async def come_and_go(service: RunningService, session: str, number: int) -> None:
    async with talk(service, session) as client:
        client.leaves_early = True
        await client.send("start_listening")
        await client.send_sound(bytes(3_200))
        if number % 5 == 0:
            client.break_off()


async def reconnect(service: RunningService, n_times: int, name: str) -> None:
    """Come and go, each time another of ten sessions, or each time a new one where `name` is empty."""
    for start in range(0, n_times, AT_ONCE):
        sessions = [f"{name}-{i}" if name else new_session() for i in range(AT_ONCE)]
        await asyncio.gather(*(come_and_go(service, session, start + i) for i, session in enumerate(sessions)))


@pytest.mark.parametrize("name", ["same", ""], ids=["ten sessions", "new sessions"])
@in_loop
async def test_five_hundred_reconnects(service: RunningService, name: str) -> None:
    """Threads and files are as before, memory is bounded, and the next conversation is answered."""
    process = worker(service)
    await reconnect(service, 50, name)
    n_threads, n_files, n_bytes = process.num_threads(), process.num_fds(), process.memory_info().rss
    await reconnect(service, N_RECONNECTS, name)
    for _ in range(200):
        # The last connections are let go by the process in its own time.
        if process.num_fds() <= n_files and process.num_threads() <= n_threads:
            break
        await asyncio.sleep(0.05)
    assert process.num_fds() <= n_files
    assert process.num_threads() <= n_threads
    assert process.memory_info().rss - n_bytes < MAX_GROWTH_BYTES
    async with talk(service) as client:
        await client.speak()
        assert (await client.until("turn_complete"))["outcome"] == "done"
