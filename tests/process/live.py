"""A live client for tests: every message of either side goes through the contract of docs/websocket.md."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp

from app.audio.resample import StreamResampler
from tests.live_contract import ContractChecker
from tests.serving import RunningService

RATE_HZ = 16_000
TIMEOUT_S = 40.0
"""Far longer than anything takes: for a machine that is busy with other things."""
PIECE_MS = 40

Message = dict[str, Any]
"""What the service sends; an `audio_chunk_meta` has the sound behind it as `pcm16`."""

_numbers = itertools.count(1)


class HungUp(Exception):
    """The service has closed the connection."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the connection was closed with {code}")
        self.code = code


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def new_session() -> str:
    """Return the name of a session that no other test uses."""
    return f"live-{next(_numbers)}"


@functools.lru_cache
def speech(text: str = "Could you please turn on the lamp in the kitchen?") -> bytes:
    """Return speech of the embedded voice at RATE_HZ, which the voice detectors take for a person's."""
    from app.tts.espeak import EspeakTts

    voice = EspeakTts(EspeakTts.Config())
    voice.load()
    pieces = list(voice.synthesize(text))
    voice.close()
    return convert(b"".join(piece.pcm16 for piece in pieces), pieces[0].sample_rate, RATE_HZ)


def convert(pcm16: bytes, from_hz: int, to_hz: int) -> bytes:
    """Return PCM16 at another rate."""
    resampler = StreamResampler(from_hz, to_hz)
    return resampler.feed(pcm16) + resampler.flush()


def silence(seconds: float, rate: int = RATE_HZ) -> bytes:
    return bytes(2 * round(seconds * rate))


class LiveClient:
    """One connection to a service."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.checker = ContractChecker()
        self.received: list[Message] = []
        self.leaves_early = False
        "The test ends the connection where much is still to come."

    # ---- up ----------------------------------------------------------------------------------------------------------

    async def send(self, kind: str, **data: Any) -> None:
        """Send a message."""
        message = {"type": kind, **({"data": data} if data else {})}
        self.checker.sent(message)
        await self.socket.send_str(json.dumps(message))

    async def type(self, text: str) -> None:
        await self.send("user_message", text=text)

    async def send_sound(self, pcm16: bytes, rate: int = RATE_HZ, piece_ms: int = PIECE_MS) -> None:
        """Send sound in pieces, as fast as the connection takes it."""
        n_bytes = 2 * rate * piece_ms // 1000
        for start in range(0, len(pcm16), n_bytes):
            await self.socket.send_bytes(pcm16[start : start + n_bytes].ljust(n_bytes, b"\0"))

    async def speak(
        self, pcm16: bytes | None = None, *, rate: int = RATE_HZ, piece_ms: int = PIECE_MS, **settings: Any
    ) -> None:
        """Speak with the microphone open, with a second of silence behind it by which the end is found."""
        await self.send("start_listening", rate=rate, **settings)
        sound = (speech() if pcm16 is None else pcm16) + silence(1.0)
        await self.send_sound(sound if rate == RATE_HZ else convert(sound, RATE_HZ, rate), rate, piece_ms)

    def break_off(self) -> None:
        """Lose the connection without a word."""
        self._transport.abort()

    def end_half(self) -> None:
        """Send no more, as a device does that shuts its side down."""
        self._transport.write_eof()

    def stop_reading(self) -> None:
        """Take nothing any more from the connection, which stays open."""
        self._transport.pause_reading()

    @property
    def _transport(self) -> Any:
        connection = self.socket._response.connection
        assert connection is not None
        return connection.transport

    # ---- down --------------------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next message, an audio_chunk_meta with its sound; raises HungUp."""
        message: Message = json.loads(await self._next_frame(aiohttp.WSMsgType.TEXT))
        self.checker.received(message)
        if message["type"] == "audio_chunk_meta":
            pcm16 = await self._next_frame(aiohttp.WSMsgType.BINARY)
            self.checker.received_binary(pcm16)
            message["pcm16"] = pcm16
        self.received.append(message)
        return message

    async def _next_frame(self, kind: aiohttp.WSMsgType) -> Any:
        frame = await self.socket.receive(TIMEOUT_S)
        if frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            raise HungUp(self.socket.close_code)
        assert frame.type is kind, f"{frame.type!r} came instead of {kind!r}: {frame.data!r}"
        return frame.data

    async def until(self, kind: str, **fields: Any) -> Message:
        """Return the next message of this type with these fields."""
        while True:
            message = await self.receive()
            if message["type"] == kind and all(message[name] == value for name, value in fields.items()):
                return message

    async def settle(self) -> list[Message]:
        """Return all that came up to the answer of a ping: what was sent before has been dealt with."""
        n_before = len(self.received)
        await self.send("ping")
        await self.until("pong")
        return self.received[n_before:-1]

    async def hear_end(self) -> int | None:
        """Take what still comes until the service closes the connection; return the code."""
        while True:
            try:
                await self.receive()
            except HungUp as end:
                return end.code

    # ---- what came ---------------------------------------------------------------------------------------------------

    def of(self, kind: str) -> list[Message]:
        """Return all messages of a type."""
        return [message for message in self.received if message["type"] == kind]

    def texts(self) -> list[str]:
        return [message["text"] for message in self.of("text_chunk")]

    def sounds(self, messages: list[Message] | None = None) -> dict[int, bytes]:
        """Return the sound of each sentence, of all that came or of these messages."""
        sounds: dict[int, bytes] = {}
        for message in self.received if messages is None else messages:
            if message["type"] == "audio_chunk_meta":
                index = message["sentence_index"]
                sounds[index] = sounds.get(index, b"") + message["pcm16"]
        return sounds


@contextlib.asynccontextmanager
async def talk(service: RunningService, session: str = "", **options: Any) -> AsyncIterator[LiveClient]:
    """Open a connection, and check at its end that nothing that was promised is missing."""
    params = {"session": session or new_session()}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(service.url + "/ws", params=params, max_msg_size=1 << 22, **options) as socket,
    ):
        client = LiveClient(socket)
        assert (await client.receive())["type"] == "session"
        yield client
        if not client.leaves_early:
            await client.settle()
            client.checker.finish()
