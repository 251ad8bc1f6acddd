"""A live conversation with an Earshot service over its WebSocket, for asyncio: see docs/websocket.md.

async with LiveConversation("http://127.0.0.1:5000") as conversation:
    await conversation.send_text("What time is it?")
    async for message in conversation.messages():
        print(message["type"], len(message.get("pcm16", b"")))
        if message["type"] == "turn_complete":
            break
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients.live_sound import read_recording
from clients.service import BUSY_TRIES, DISTRUSTED, MAX_RETRY_AFTER_S, Lost, Trouble

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 90.0
"""A service that sends nothing for so long, not even a ping, is lost."""
PIECE_S = 0.04
"""Length of a piece of sound on its way up; the service takes 10 to 500 ms."""
MICROPHONE_RATE_HZ = 16_000
MIN_SOUND_BYTES = 640
"""20 ms from the microphone."""
CLOSED_BECAUSE = {
    4000: "the service heard nothing from here and hung up",
    4001: "another connection took over this session",
    1009: "the service found a message too large",
}

Message = dict[str, Any]
"""What the service sends, by its `type`; an `audio_chunk_meta` has the sound behind it as `pcm16`."""


class LiveConversation:
    """One connection to a service; `async with` opens and closes it.  What goes wrong is raised as Trouble."""

    def __init__(self, url: str, token: str | None = None, session: str | None = None) -> None:
        self.session: Message = {}
        "The service's first message: its session, what may be chosen, the defaults of start_listening."
        self._url = url.rstrip("/")
        self._params = {"session": session} if session else {}
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._meta: Message | None = None

    async def __aenter__(self) -> LiveConversation:
        self._http = import_aiohttp().ClientSession()
        try:
            self._socket = await self._connect()
            self.session = await self.receive()
            if self.session["type"] != "session":
                raise Trouble(f"the service began with {self.session['type']} instead of a session")
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._socket.close()
        await self._http.close()

    # ---- up ----------------------------------------------------------------------------------------------------------

    async def start_listening(self, **settings: Any) -> None:
        """Open the microphone, or change its settings: rate, mode, threshold and so on."""
        await self.send("start_listening", settings)

    async def stop_listening(self) -> None:
        """Close the microphone; an utterance in progress ends here."""
        await self.send("stop_listening")

    async def send_sound(self, pcm16: bytes) -> None:
        """Send 10 to 500 ms of PCM16 from the microphone."""
        with _losses():
            await self._socket.send_bytes(pcm16)

    async def speak(self, recording: Path | bytes, **settings: Any) -> None:
        """Send a WAV as fast as it would be spoken, and close the microphone behind it.

        settings: of start_listening.  The utterance is the whole WAV unless `mode` is `hands_free`: then the service
        finds its end, for which silence is sent.
        """
        pcm16, rate = read_recording(recording)
        settings = {"mode": "push_to_talk", **settings}
        if settings["mode"] == "hands_free":
            silence_ms = settings.get("silence_ms") or self.session["listening"]["silence_ms"]
            pcm16 += bytes(2 * int(rate * (1.0 + silence_ms / 1000)))
        await self.start_listening(rate=rate, **settings)
        n_bytes = 2 * int(PIECE_S * rate)
        clock = asyncio.get_running_loop()
        due_s = clock.time()
        for at in range(0, len(pcm16), n_bytes):
            await self.send_sound(pcm16[at : at + n_bytes].ljust(n_bytes, b"\0"))
            due_s += PIECE_S
            await asyncio.sleep(due_s - clock.time())
        await self.stop_listening()

    async def listen(self, source: Iterator[bytes], **settings: Any) -> None:
        """Send what a microphone gives at 16 kHz while it comes, and close it behind; the source may block."""
        await self.start_listening(rate=MICROPHONE_RATE_HZ, **settings)
        waiting = b""
        while chunk := await asyncio.to_thread(next, source, b""):
            waiting += chunk
            if len(waiting) >= MIN_SOUND_BYTES:
                n_bytes = len(waiting) // 2 * 2
                await self.send_sound(waiting[:n_bytes])
                waiting = waiting[n_bytes:]
        if waiting:
            await self.send_sound(waiting.ljust(MIN_SOUND_BYTES, b"\0"))
        await self.stop_listening()

    async def send_text(self, text: str) -> None:
        """Send a typed message; it interrupts the reply in progress."""
        await self.send("user_message", {"text": text})

    async def change_settings(self, **settings: Any) -> None:
        """Choose model, temperature, character or voice; None for the default."""
        await self.send("model_settings", settings)

    async def interrupt(self) -> None:
        """Cancel the turns in progress."""
        await self.send("interrupt")

    async def send(self, kind: str, data: Mapping[str, Any] | None = None) -> None:
        """Send any message."""
        with _losses():
            await self._socket.send_json({"type": kind, **({"data": dict(data)} if data else {})})

    # ---- down --------------------------------------------------------------------------------------------------------

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the service sends, until the connection ends, which is raised as Lost."""
        while True:
            yield await self.receive()

    async def receive(self) -> Message:
        """Return the next message, an audio_chunk_meta when its sound is there; a ping is answered."""
        while True:
            frame = await self._next_frame()
            if isinstance(frame, bytes):
                meta, self._meta = self._meta, None
                if meta is not None:
                    return {**meta, "pcm16": frame}
            elif frame["type"] == "audio_chunk_meta":
                self._meta = frame
            else:
                if frame["type"] == "ping":
                    await self.send("pong")
                return frame

    async def _next_frame(self) -> Message | bytes:
        try:
            frame = await self._socket.receive(SILENCE_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise Lost(f"the service has sent nothing for {SILENCE_TIMEOUT_S:g} s") from None
        if frame.type.name == "BINARY":
            return bytes(frame.data)
        if frame.type.name != "TEXT":
            code = self._socket.close_code
            raise Lost(CLOSED_BECAUSE.get(code or 0, f"the connection broke during the conversation (code {code})"))
        try:
            message = json.loads(frame.data)
            return {"type": str(message["type"]), **message}
        except (ValueError, KeyError, TypeError):
            raise Trouble("the service sent what is no message: is it of another version?") from None

    # ---- the handshake -----------------------------------------------------------------------------------------------

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        """Return the open connection; a busy service is asked again."""
        aiohttp = import_aiohttp()
        options = {"params": self._params, "headers": self._headers, "max_msg_size": 1 << 24}
        for n_left in reversed(range(BUSY_TRIES)):
            try:
                return await asyncio.wait_for(self._http.ws_connect(f"{self._url}/ws", **options), CONNECT_TIMEOUT_S)
            except aiohttp.WSServerHandshakeError as refusal:
                if refusal.status not in (429, 503) or n_left == 0:
                    raise await self._explain(refusal) from None
                await asyncio.sleep(_retry_after_s(refusal))
            except aiohttp.ClientConnectorCertificateError:
                raise Trouble(f"{self._url} {DISTRUSTED} SSL_CERT_FILE=cert.pem", 2) from None
            except (aiohttp.ClientConnectionError, asyncio.TimeoutError) as error:
                raise Lost(
                    f"{self._url} does not answer ({type(error).__name__}): start the service with scripts/run"
                    " (scripts/run --lan when it is another machine), or name another with --url or in EARSHOT_URL",
                    2,
                ) from None
            except (aiohttp.ClientError, ValueError) as error:
                raise Trouble(f"{self._url} cannot be asked: {error}", 2) from None
        raise AssertionError("the last try has returned or raised")

    async def _explain(self, refusal: aiohttp.WSServerHandshakeError) -> Trouble:
        """Return why the handshake was refused.  Its body is dropped by aiohttp, so it is asked for as plain HTTP."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        headers = {**self._headers, **upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        code, message = "", f"{refusal.status} {refusal.message}"
        with contextlib.suppress(import_aiohttp().ClientError, asyncio.TimeoutError, ValueError, KeyError, TypeError):
            async with self._http.get(f"{self._url}/ws", params=self._params, headers=headers) as response:
                error = (await asyncio.wait_for(response.json(content_type=None), CONNECT_TIMEOUT_S))["error"]
                code, message = str(error["code"]), str(error["message"])
        if refusal.status == 401 or code == "unauthorized":
            return Trouble(f"{message}; give it with --token or in EARSHOT_TOKEN", 2)
        if code in ("", "not-found", "method-not-allowed"):
            return Trouble(f"{self._url} is no Earshot service ({message}): name yours with --url or in EARSHOT_URL", 2)
        return Trouble(f"refused with {refusal.status} {code}: {message}", 2 if refusal.status == 403 else 1)


def import_aiohttp() -> Any:
    """Return the library of the connection; raises Trouble where it is not installed."""
    try:
        import aiohttp
    except ImportError:
        raise Trouble("a live conversation needs aiohttp: pip install 'aiohttp>=3.11'", 2) from None
    return aiohttp


def _retry_after_s(refusal: aiohttp.WSServerHandshakeError) -> float:
    try:
        return min(MAX_RETRY_AFTER_S, max(0.1, float(refusal.headers["Retry-After"])))  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return 1.0


@contextlib.contextmanager
def _losses() -> Iterator[None]:
    """Raise Lost where a connection that is gone raises one of many things."""
    try:
        yield
    except (ConnectionError, RuntimeError, import_aiohttp().ClientError) as error:
        raise Lost(f"the connection broke during the conversation ({type(error).__name__})") from None
