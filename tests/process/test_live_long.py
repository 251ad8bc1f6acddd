"""Live conversations of many turns, of several characters, and with clients that say nothing."""

from __future__ import annotations

import argparse
import asyncio
import io
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clients.live import LiveConversation
from clients.live_sound import LiveOutput
from clients.ws_talk import Dialogue
from tests.live_contract import ContractChecker
from tests.process.live import RATE_HZ, LiveClient, in_loop, new_session, silence, speech, talk
from tests.process.live_service import live_config, n_samples
from tests.serving import RunningService, serve

pytestmark = pytest.mark.process

DIALOGUE = "Well then.\nAnna: Is the moon round?\nTom: It is. I saw it.\nAnna: Then so be it."
SAID = [("Anna", "Well then. Is the moon round?"), ("Tom", "It is. I saw it."), ("Anna", "Then so be it.")]


class CheckedConversation(LiveConversation):
    """The client of clients/, whose every message is held against the contract."""

    def __init__(self, url: str, session: str) -> None:
        super().__init__(url, session=session)
        self.checker = ContractChecker()
        self.ends: list[dict[str, Any]] = []

    async def send(self, kind: str, data: Mapping[str, Any] | None = None) -> None:
        self.checker.sent({"type": kind, **({"data": data} if data else {})})
        await super().send(kind, data)

    async def receive(self) -> dict[str, Any]:
        message = await super().receive()
        self.checker.received({name: value for name, value in message.items() if name != "pcm16"})
        if "pcm16" in message:
            self.checker.received_binary(message["pcm16"])
        if message["type"] == "turn_complete":
            self.ends.append(message)
        return message


def write_wav(path: Path, pcm16: bytes) -> str:
    with io.BytesIO() as body:
        with wave.open(body, "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            file.writeframes(pcm16)
        path.write_bytes(body.getvalue())
    return str(path)


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    # Every recording is understood alike, and so could be the echo of the reply before.
    listening = {"liveness_timeout_s": 10, "echo_guard": False}
    with serve(live_config(listening=listening)) as running:
        yield running


@in_loop
async def test_ten_turns(service: RunningService, tmp_path: Path) -> None:
    """Typed and spoken turns in any order are all answered, to the client that we ship."""
    recording = write_wav(tmp_path / "q.wav", silence(0.3) + speech())
    turns = [("text", f"Question {n}.") if n % 3 else ("wav", recording) for n in range(10)]
    options = argparse.Namespace(quiet=True, json=False, hands_free=True)
    async with CheckedConversation(service.url, new_session()) as conversation:
        dialogue = Dialogue(options, conversation, LiveOutput(str(tmp_path / "answers.wav"), False))
        for turn in turns:
            await dialogue.take(turn)
        conversation.checker.finish()
    assert [end["outcome"] for end in conversation.ends] == ["done"] * 10
    for end, (kind, what) in zip(conversation.ends, turns, strict=True):
        assert end["heard"].startswith("I heard" if kind == "wav" else what)


async def be_silent(client: LiveClient) -> int | None:
    """Say nothing and answer no ping."""
    client.leaves_early = True
    return await client.hear_end()


async def answer_pings(client: LiveClient, n_pings: int) -> None:
    for _ in range(n_pings):
        await client.until("ping")
        await client.send("pong")


@in_loop
async def test_silent_clients(service: RunningService) -> None:
    """A client that says nothing is pinged and then closed with 4000; one that answers the pings is not."""
    async with talk(service) as silent, talk(service) as patient:
        answering = asyncio.ensure_future(answer_pings(patient, 3))
        assert await be_silent(silent) == 4000
        assert silent.of("ping")
        assert silent.of("error")[-1]["code"] == "silent-client"
        await answering
        assert not patient.of("error")


@in_loop
async def test_characters_and_a_timer() -> None:
    """Each character has its streams of text and sound, and a timer that the reply set rings behind it."""
    characters = {"Anna": {"voice": "fake/soprano"}, "Tom": {"voice": "fake/bass"}}
    llm = {"fake": {"reply": DIALOGUE, "timer_s": 0.5}}
    with serve(live_config(characters=characters, llm=llm)) as service:
        async with talk(service) as client:
            assert client.received[0]["characters"] == ["Anna", "Tom"]
            await client.type("Tell me about the moon.")
            turn = (await client.until("text_stream_start"))["turn_id"]
            assert (await client.until("turn_complete", turn_id=turn))["outcome"] == "done"
            streams = [m for m in client.of("text_stream_start") if m["turn_id"] == turn]
            assert [(s["character_name"], said_in(client, s["message_id"])) for s in streams] == SAID
            starts = [m["message_id"] for m in client.of("audio_stream_start") if m["turn_id"] == turn]
            assert starts == [s["message_id"] for s in streams]
            for sentence in [m for m in client.of("text_chunk") if m["message_id"] in starts]:
                sound = client.sounds([m for m in client.received if m.get("message_id") == sentence["message_id"]])
                n_heard = len(sound[sentence["sentence_index"]]) // 2
                assert n_heard == pytest.approx(n_samples(sentence["text"]), abs=2)
            if not any(end["spoken"] == "Your timer is done." for end in client.of("turn_complete")):
                await client.until("turn_complete", spoken="Your timer is done.")


def said_in(client: LiveClient, message_id: str) -> str:
    return " ".join(m["text"] for m in client.of("text_chunk") if m["message_id"] == message_id)
