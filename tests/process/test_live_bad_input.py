"""What live clients send by mistake or by malice: each is answered clearly, and the service goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.process.live import RATE_HZ, LiveClient, in_loop, silence, talk
from tests.process.live_service import LONG, live_config
from tests.serving import RunningService, serve

pytestmark = pytest.mark.process

FRAME_LIMIT = 1 << 20


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(live_config()) as running:
        yield running
        # Whatever came before, the service still answers, and no session is listened to any more.
        check_turn(running)


@in_loop
async def check_turn(service: RunningService) -> None:
    async with talk(service) as client:
        await client.speak()
        assert (await client.until("turn_complete"))["outcome"] == "done"


async def errors(client: LiveClient) -> list[str]:
    """Return the codes of all errors up to now, and that nothing else came."""
    told = await client.settle()
    assert all(message["type"] == "error" and len(message["message"]) > 10 for message in told)
    return [message["code"] for message in told]


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "null", "[]", "5", '"ping"', "{}", '{"type": 5}', '{"type": "pong2"}', '{"type": null}',
        '{"type": "ping", "data": []}', '{"type": "ping", "data": "x"}', '{"type": "ping", "data": false}',
        '{"type": "user_message"}', '{"type": "user_message", "data": {"text": ""}}', "{" * 100_000,
        '{"type": "user_message", "data": {"text": "  "}}', '{"type": "user_message", "data": {"text": 5}}',
        json.dumps({"type": "user_message", "data": {"text": "x" * 4_001}}), "[" * 100_000, '{"type": "ping"',
        '{"type": "\\ud800"}', '{"type": "user_message", "data": {"text": ["x"]}}', '{"type": "' + "x" * 50_000 + '"}',
    ],
)  # fmt: skip
@in_loop
async def test_no_message(service: RunningService, text: str) -> None:
    """What is no message is told so, once, and nothing else happens."""
    async with talk(service) as client:
        client.checker.sent({"type": "something"})
        await client.socket.send_str(text)
        assert await errors(client) == ["bad-message"]


@pytest.mark.parametrize("text", ["\ud83d half", "nul \0 inside", "\u202eturned", "x" * 4_000, "{heard} %s \\ '"])
@in_loop
async def test_strange_words(service: RunningService, text: str) -> None:
    """Words of any characters are answered, or told to be no message; the connection goes on."""
    async with talk(service) as client:
        await client.type(text)
        await client.send("interrupt")
        await client.type("And now?")
        assert (await client.until("turn_complete", heard="And now?"))["outcome"] == "done"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 7_999), ("rate", 48_001), ("rate", "16000"), ("rate", True), ("rate", 16_000.5), ("rate", None),
        ("mode", "always"), ("mode", 5), ("mode", ["hands_free"]), ("mode", None), ("threshold", 0.04),
        ("threshold", 0.96), ("threshold", "high"), ("threshold", True), ("start_ms", -1), ("start_ms", 1e300),
        ("silence_ms", 0), ("silence_ms", {}), ("adaptive_silence", "yes"), ("adaptive_silence", 1),
        ("max_utterance_s", 0), ("max_utterance_s", 601), ("pre_roll_ms", -1), ("pre_roll_ms", 2_001),
        ("interrupt_thinking_ms", 5_001), ("interrupt_speaking_ms", -0.1), ("vad", "webrtc"),
        ("liveness_timeout_s", 1e9), ("colour", "red"), ("", 1), ("silence_ms", float("nan")),
        ("silence_ms", float("inf")), ("rate", 10**400),
    ],
)  # fmt: skip
@in_loop
async def test_settings_of_the_microphone(service: RunningService, name: str, value: Any) -> None:
    """A setting that is not allowed is named and changes nothing: the microphone stays closed."""
    async with talk(service) as client:
        await client.send("start_listening", **{name: value})
        assert (await client.until("error"))["code"] == "bad-settings"
        assert name in client.received[-1]["message"]
        await client.send_sound(silence(0.1))
        assert await errors(client) == ["not-listening"]


@in_loop
async def test_sound_that_nobody_asked_for(service: RunningService) -> None:
    """Sound without listening is told once, and again behind the next stop."""
    async with talk(service) as client:
        await client.send_sound(silence(2.0))
        assert await errors(client) == ["not-listening"]
        await client.send("stop_listening")
        await client.send("stop_listening")
        await client.send_sound(silence(2.0))
        assert await errors(client) == ["not-listening"]


@in_loop
async def test_bad_frames(service: RunningService) -> None:
    """Each frame that is no sound is told and dropped; the utterance around it is heard."""
    async with talk(service) as client:
        await client.send("start_listening")
        for n_bytes in (0, 1, 2, 319, 318, 321, 16_002, 900_000):
            await client.socket.send_bytes(bytes(n_bytes))
            assert await errors(client) == ["bad-audio"], n_bytes
        await client.send("start_listening")
        await client.speak()
        assert (await client.until("turn_complete"))["heard"] == "I heard 2 seconds."


@in_loop
async def test_a_frame_of_two_megabytes(service: RunningService) -> None:
    """A frame over the limit closes the connection with 1009, sound or text."""
    for send, content in (("send_bytes", bytes(2 * FRAME_LIMIT)), ("send_str", "x" * 2 * FRAME_LIMIT)):
        async with talk(service) as client:
            client.leaves_early = True
            await getattr(client.socket, send)(content)
            assert await client.hear_end() == 1009


@in_loop
async def test_a_flood(service: RunningService) -> None:
    """Messages beyond a hundred in a second are told once in that second and ignored; then all is well again."""
    async with talk(service) as client:
        for _ in range(1_000):
            await client.send("ping")
        await client.until("error", code="rate-limited")
        # The service counts by seconds, and cannot tell when it will listen again.
        await asyncio.sleep(1.1)
        await client.type("And now?")
        assert (await client.until("turn_complete"))["outcome"] == "done"
        assert 100 <= len(client.of("pong")) < 1_000
        client.leaves_early = True


@in_loop
async def test_listening_again_changes_the_settings(service: RunningService) -> None:
    """A second start_listening ends the utterance in progress, and counts from then on."""
    async with talk(service) as client:
        await client.send("start_listening", mode="push_to_talk")
        await client.send_sound(b"\1\0" * (3 * RATE_HZ))
        await client.send("start_listening", mode="push_to_talk", rate=8_000)
        await client.send_sound(b"\1\0" * (4 * 8_000 + 800), rate=8_000)
        await client.send("stop_listening")
        heard = [await client.until("turn_complete") for _ in range(2)]
        assert {end["heard"] for end in heard} == {"I heard 3 seconds.", "I heard 4 seconds."}


# ---- the door --------------------------------------------------------------------------------------------------------


async def refusal(service: RunningService, path: str = "/ws", **headers: str) -> tuple[int, str]:
    """Return how a handshake is refused, asked for as plain HTTP so that the body can be read."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    async with (
        aiohttp.ClientSession() as http,
        http.get(service.url + path, headers={**upgrade, **key, **headers}) as r,
    ):
        return r.status, (await r.json(content_type=None))["error"]["code"]


@pytest.fixture(scope="module")
def guarded() -> Iterator[RunningService]:
    tokens = {"desk": "secret-token-of-the-desk"}
    config = live_config(server={"tokens": tokens, "origins": ["https://panel.example.org"], "log_level": "debug"})
    with serve(config) as running:
        yield running


@in_loop
async def test_the_door(guarded: RunningService) -> None:
    """Who may not enter is refused as over HTTP; who may, enters; and no token is written to the log."""
    token, own = "secret-token-of-the-desk", guarded.url
    assert await refusal(guarded) == (401, "unauthorized")
    assert await refusal(guarded, "/ws?token=wrong-secret-token") == (401, "unauthorized")
    assert await refusal(guarded, "/ws?token=" + token, Origin="https://evil.example.org") == (403, "forbidden")
    assert await refusal(guarded, "/ws?token=" + token, Origin="null") == (403, "forbidden")
    assert await refusal(guarded, "/ws?token=" + token + "&session=a/b") == (400, "bad-request")
    assert (await refusal(guarded, "/ws/nowhere?token=" + token))[0] == 404
    async with talk(guarded, headers={"Authorization": f"Bearer {token}", "Origin": own}):
        pass
    async with (
        aiohttp.ClientSession(headers={"Origin": "https://panel.example.org"}) as http,
        http.ws_connect(f"{own}/ws?token={token}") as socket,
    ):
        assert (await socket.receive_json())["session_id"] == "desk"
        await socket.send_bytes(b"x" * 2 * FRAME_LIMIT)
        await socket.receive()
    log = guarded.log.read_text()
    assert "secret-token" not in log


@in_loop
async def test_a_stopping_service() -> None:
    """At SIGTERM new turns are refused, the reply in progress is heard to its end, and connections do not keep it."""
    with serve(live_config(server={"drain_timeout_s": 30})) as ending:
        async with talk(ending) as busy, talk(ending) as idle:
            busy.leaves_early = idle.leaves_early = True
            await busy.type(LONG)
            await busy.until("audio_chunk_meta")
            ending.process.terminate()
            # The signal has its way through two processes; until then turns are taken.
            while not idle.of("error"):
                await idle.type("Hi?")
                while (await idle.receive())["type"] not in ("turn_complete", "error"):
                    pass
            assert idle.of("error")[0]["code"] == "stopping"
            assert (await busy.until("turn_complete"))["outcome"] == "done"
            assert [await busy.hear_end(), await idle.hear_end()] == [1012, 1012]
        await asyncio.to_thread(ending.process.wait, 20)
