"""Workers that are killed in the middle of a live turn: it ends, and the next one is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.process.live import RATE_HZ, LiveClient, in_loop, talk
from tests.process.live_service import APOLOGY, LONG, live_config
from tests.process.test_kills import kill_once, wait_for
from tests.serving import RunningService, serve

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    slow = live_config()
    for stage in ("llm", "tts"):
        slow[stage]["fake"]["delay_s"] = 0.02
    with serve(slow) as running:
        yield running


async def kill(service: RunningService, stage: str) -> None:
    assert await asyncio.to_thread(kill_once, service, stage) > 0


async def be_answered(service: RunningService, client: LiveClient) -> None:
    """Wait for the stages, which start again, and take another turn."""
    assert await asyncio.to_thread(wait_for, lambda: service.get("/ready").ok, 40)
    await client.send("start_listening", mode="push_to_talk")
    await client.send_sound(b"\1\0" * (3 * RATE_HZ))
    await client.send("stop_listening")
    assert (await client.until("turn_complete", heard="I heard 3 seconds."))["outcome"] == "done"


def check_end(client: LiveClient, whole: str) -> None:
    """Check that the turn was done again to its end, or failed with an apology."""
    (end,) = client.of("turn_complete")
    assert (end["outcome"] == "done" and end["spoken"] == whole) or (
        end["outcome"] == "failed" and end["spoken"].endswith(APOLOGY) and client.of("audio_complete")
    )


@in_loop
async def test_the_recogniser_dies_in_mid_utterance(service: RunningService) -> None:
    """The utterance is heard again from its beginning, or apologised for."""
    async with talk(service) as client:
        await client.send("start_listening", mode="push_to_talk")
        await client.send_sound(b"\1\0" * (3 * RATE_HZ))
        await client.until("speech_started")
        await kill(service, "stt")
        await client.send_sound(b"\1\0" * RATE_HZ)
        await client.send("stop_listening")
        await client.until("turn_complete")
        check_end(client, "You said: I heard 4 seconds.")
        await be_answered(service, client)


@in_loop
async def test_the_language_model_dies_in_mid_reply(service: RunningService) -> None:
    """The reply is written again to its end, or apologised for."""
    async with talk(service) as client:
        await client.type(LONG)
        await client.until("text_chunk", sentence_index=1)
        await kill(service, "llm")
        await client.until("turn_complete")
        check_end(client, f"You said: {LONG}")
        await be_answered(service, client)


@in_loop
async def test_the_voice_dies_in_mid_reply(service: RunningService) -> None:
    """The sentence in progress is spoken again, and all others, or it is apologised for."""
    async with talk(service) as client:
        await client.type(LONG)
        await client.until("audio_chunk_meta", sentence_index=1)
        await kill(service, "tts")
        await client.until("turn_complete")
        check_end(client, f"You said: {LONG}")
        await be_answered(service, client)
