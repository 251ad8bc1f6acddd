"""A device whose microphone hears its own loudspeaker does not talk to itself."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from clients.live import LiveConversation
from tests.live_contract import ContractChecker
from tests.serving import serve

pytestmark = [pytest.mark.process, pytest.mark.engine]
RATE_HZ = 24_000
FRAME_S = 0.02
FRAME_BYTES = 2 * int(RATE_HZ * FRAME_S)
STORY = (
    "The weather today is sunny with a light wind from the west. In the evening there will be some clouds over the "
    "mountains. Tomorrow it will rain in the morning and the afternoon will be dry again."
)


class Room:
    """A loudspeaker beside a microphone: what is played is heard, half as loud."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._noise = np.random.default_rng(5)
        self.played = bytearray()

    def play(self, message: dict[str, Any]) -> None:
        """Take what the service sends."""
        if message["type"] == "interrupted":
            self._buffer.clear()
        self._buffer += message.get("pcm16", b"")

    def hear(self) -> bytes:
        """Return the next frame of the microphone."""
        frame = bytes(self._buffer[:FRAME_BYTES])
        del self._buffer[:FRAME_BYTES]
        self.played += frame
        sound = np.frombuffer(frame.ljust(FRAME_BYTES, b"\0"), "<i2") * 0.5 + self._noise.normal(
            0, 20, FRAME_BYTES // 2
        )
        return sound.astype("<i2").tobytes()


async def let_it_talk(url: str) -> tuple[list[dict[str, Any]], Room]:
    """Have a story told in a room that echoes; return the messages until it was told and silence has followed."""
    room, messages, checker = Room(), [], ContractChecker()
    clock = asyncio.get_running_loop()
    async with LiveConversation(url, session="echo") as conversation:
        checker.received(conversation.session)

        async def listen() -> None:
            await conversation.start_listening(rate=RATE_HZ)
            due_s = clock.time()
            while True:
                await conversation.send_sound(room.hear())
                due_s += FRAME_S
                await asyncio.sleep(max(0.0, due_s - clock.time()))

        async def follow() -> None:
            async for message in conversation.messages():
                messages.append(message)
                checker.received({name: value for name, value in message.items() if name != "pcm16"})
                if "pcm16" in message:
                    checker.received_binary(message["pcm16"])
                room.play(message)
                if message["type"] == "turn_complete" and message["spoken"]:
                    break

        microphone = asyncio.create_task(listen())
        reply = await asyncio.to_thread(_say, url)
        assert reply == 200
        await asyncio.wait_for(follow(), 60)
        # Whatever the room still echoes would begin a turn within this time.
        await asyncio.sleep(2.0)
        microphone.cancel()
        status = await asyncio.to_thread(_open_turns, url)
        assert status == 0
    return messages, room


def _say(url: str) -> int:
    import requests

    return requests.post(f"{url}/say?session=echo", json={"text": STORY}, timeout=10).status_code


def _open_turns(url: str) -> int:
    import requests

    return int(requests.get(f"{url}/health", timeout=10).json()["open_turns"])


def test_a_room_that_echoes() -> None:
    """The whole story is told although the microphone hears it, and nothing of it is answered."""
    with serve({}) as service:
        messages, room = asyncio.run(let_it_talk(service.url))
    ends = [m for m in messages if m["type"] == "turn_complete"]
    assert [m["outcome"] for m in ends] == ["done"] * len(ends)
    assert [m["heard"] for m in ends] == [""] * len(ends)
    assert ends[-1]["spoken"] == STORY
    assert not [m for m in messages if m["type"] == "interrupted"]
    assert len(room.played) >= 2 * RATE_HZ * 8
