"""A stand-in for the service behind the page: its files and its `/ws`, with scripted words and a reply of noise."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from aiohttp import WSMsgType, web

STATIC = Path(__file__).resolve().parents[2] / "app" / "web" / "static"
REPLY_RATE_HZ = 24_000
SPEECH_RATE_HZ = 16_000
CHUNK_SAMPLES = REPLY_RATE_HZ // 5
LOUD_RMS = 500.0
SILENCE_S = 0.3
CLOSED_AS_REPLACED = 4001


@dataclass(frozen=True)
class Script:
    """What the stand-in hears and says."""

    transcript: str = "what time is it"
    sentences: Sequence[str] = ("It is ten past nine.", "Time for breakfast.", "Shall I read the news to you?")
    sentence_s: float = 1.0
    character_name: str = ""
    send_ahead_s: float = 2.0
    refuses: Literal[0, 401, 403, 503] = 0
    "The status of refused handshakes; 0 when they are let in."
    session: dict[str, Any] = field(default_factory=dict)
    "Fields of the message `session` that differ."


def reply_pcm16(n_sentences: int, sentence_s: float) -> bytes:
    """Return the sound of all sentences: noise of the voice's band, the same each time."""
    n_samples = round(sentence_s * REPLY_RATE_HZ) * n_sentences
    spectrum = np.fft.rfft(np.random.default_rng(5).standard_normal(n_samples))
    pitches_hz = np.fft.rfftfreq(n_samples, 1 / REPLY_RATE_HZ)
    spectrum[(pitches_hz < 200) | (pitches_hz > 4_000)] = 0
    noise = np.fft.irfft(spectrum, n_samples)
    return (noise / np.abs(noise).max() * 16_000).astype("<i2").tobytes()


class LiveStandIn:
    """Runs while the `with` block does; `stop` and `start` are what a restart of the service looks like to a page."""

    def __init__(self, script: Script | None = None, port: int = 0) -> None:
        self.script = script or Script()
        self.port = port
        self.is_cut_off = False
        "Whether nothing comes through to the page, as on a network that has changed."
        self.received: list[dict[str, Any]] = []
        "All JSON messages of all connections."
        self.heard_pcm16 = bytearray()
        self.reply_pcm16 = reply_pcm16(len(self.script.sentences), self.script.sentence_s)
        self.connections: list[Conversation] = []
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LiveStandIn:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="live-stand-in", daemon=True)
        self._thread.start()
        assert self._is_ready.wait(10), "the stand-in did not start"

    def stop(self) -> None:
        """Break all connections and listen no more."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the stand-in did not stop"
        self._thread = None

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a message to the newest connection."""
        self._call(self.connections[-1].tell(kind, **fields))

    def replace(self) -> None:
        """End the newest connection as one that a newer one replaced."""
        self._call(self.connections[-1].replace())

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/ws", self._converse)
        app.router.add_static("/static", STATIC)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self.port or runner.addresses[0][1]
        self._is_ready.set()
        await self._stop.wait()
        for connection in self.connections:
            await connection.socket.close(code=1012)
        self.connections.clear()
        await runner.cleanup()

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _ready(self, _: web.Request) -> web.Response:
        # The door's origins hold for WebSockets alone.
        refuses = self.script.refuses if self.script.refuses != 403 else 0
        return web.json_response({"status": "ready"}, status=refuses or 200)

    async def _converse(self, request: web.Request) -> web.StreamResponse:
        if self.script.refuses:
            return web.json_response({"error": {}}, status=self.script.refuses)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Conversation(self, socket)
        self.connections.append(connection)
        await connection.run(request.query.get("session", ""))
        return socket


class Conversation:
    """One connection."""

    def __init__(self, standin: LiveStandIn, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._standin = standin
        self._script = standin.script
        self._mode = ""
        self._rate_hz = SPEECH_RATE_HZ
        self._silence_s = 0.0
        self._n_heard = 0
        self._utterance = ""
        self._reply: asyncio.Task[None] | None = None
        self._reply_turn = ""
        self._n_turns = 0
        self._settings: dict[str, Any] = dict.fromkeys(("model", "temperature", "character", "voice"))

    async def tell(self, kind: str, **fields: Any) -> None:
        if not (self.socket.closed or self._standin.is_cut_off):
            await self.socket.send_json({"type": kind, **fields})

    async def replace(self) -> None:
        await self.tell("error", code="replaced", message="a newer connection took over")
        await self.socket.close(code=CLOSED_AS_REPLACED)

    async def run(self, session: str) -> None:
        """Serve until the page leaves."""
        lists: dict[str, Any] = {"characters": [], "models": [], "voices": [], **self._script.session}
        await self.tell(
            "session", session_id=session, sample_rate=REPLY_RATE_HZ, settings=self._settings, listening={}, **lists
        )
        async for message in self.socket:
            if message.type is WSMsgType.BINARY:
                await self._hear(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._obey(json.loads(message.data))
        if self._reply:
            self._reply.cancel()

    async def _obey(self, message: dict[str, Any]) -> None:
        self._standin.received.append(message)
        data = message.get("data") or {}
        match message["type"]:
            case "start_listening":
                self._mode, self._rate_hz = data.get("mode", "hands_free"), data.get("rate", SPEECH_RATE_HZ)
                if self._mode == "push_to_talk":
                    await self._start_speech()
            case "stop_listening":
                self._mode = ""
                if self._utterance:
                    await self._stop_speech()
            case "user_message":
                await self._interrupt("new-message")
                self._answer(self._new_turn(), data["text"])
            case "interrupt":
                await self._interrupt("interrupted")
            case "model_settings":
                self._settings |= data
                await self.tell("settings", **self._settings)
            case "ping":
                await self.tell("pong")

    async def _hear(self, pcm16: bytes) -> None:
        if not self._mode:
            await self.tell("error", code="not-listening", message="sound came without start_listening")
            return
        self._standin.heard_pcm16 += pcm16
        samples = np.frombuffer(pcm16, "<i2").astype(float)
        is_loud = float(np.sqrt(np.mean(samples**2))) > LOUD_RMS
        if is_loud and not self._utterance:
            await self._interrupt("new-utterance")
            await self._start_speech()
        if not self._utterance:
            return
        await self._tell_words()
        self._silence_s = 0.0 if is_loud else self._silence_s + len(samples) / self._rate_hz
        if self._mode == "hands_free" and self._silence_s >= SILENCE_S:
            await self._stop_speech()

    async def _start_speech(self) -> None:
        self._utterance, self._silence_s, self._n_heard = self._new_turn(), 0.0, 0
        await self.tell("speech_started", turn_id=self._utterance)

    async def _tell_words(self) -> None:
        self._n_heard += 1
        words = self._script.transcript.split()[: self._n_heard // 8]
        if words and self._n_heard % 8 == 0:
            await self.tell("stt_update", turn_id=self._utterance, text=" ".join(words))

    async def _stop_speech(self) -> None:
        turn_id, self._utterance = self._utterance, ""
        await self.tell("speech_stopped", turn_id=turn_id)
        await self.tell("stt_finished", turn_id=turn_id, text=self._script.transcript)
        scores = {"level_dbfs": -21.4, "pitch_hz": 182.0, "syllables_per_s": 4.1, "longest_pause_s": None}
        await self.tell("analysis", turn_id=turn_id, analyser="prosody", scores=scores)
        self._answer(turn_id, self._script.transcript)

    def _new_turn(self) -> str:
        self._n_turns += 1
        return f"turn-{id(self)}-{self._n_turns}"

    def _answer(self, turn_id: str, heard: str) -> None:
        self._reply_turn = turn_id
        self._reply = asyncio.create_task(self._speak(turn_id, heard))

    async def _interrupt(self, reason: str) -> None:
        if self._reply is None or self._reply.done():
            return
        self._reply.cancel()
        await self.tell("interrupted", turn_id=self._reply_turn, reason=reason)
        spoken = self._script.sentences[0][:9]
        await self._complete(self._reply_turn, "cancelled", reason, self._script.transcript, spoken)

    async def _speak(self, turn_id: str, heard: str) -> None:
        """Send text and sound of the reply, the sound no more than `send_ahead_s` before it is due."""
        names = {"message_id": f"message of {turn_id}", "turn_id": turn_id}
        message_id, character = names["message_id"], self._script.character_name
        await self.tell("text_stream_start", **names, character_name=character)
        for index, text in enumerate(self._script.sentences):
            await self.tell("text_chunk", message_id=message_id, sentence_index=index, text=text)
        await self.tell("text_stream_stop", message_id=message_id)
        await self.tell("audio_stream_start", **names, character_name=character, resumed=False)
        started_s = asyncio.get_running_loop().time()
        for index, chunk_index, due_s, pcm16 in self._chunks():
            ahead_s = due_s - (asyncio.get_running_loop().time() - started_s)
            await asyncio.sleep(max(0.0, ahead_s - self._script.send_ahead_s))
            await self.tell("audio_chunk_meta", message_id=message_id, sentence_index=index, chunk_index=chunk_index)
            await self.socket.send_bytes(pcm16)
        await self.tell("audio_complete", session_id="", turn_id=turn_id)
        length_s = len(self._standin.reply_pcm16) / 2 / REPLY_RATE_HZ
        await asyncio.sleep(max(0.0, length_s - (asyncio.get_running_loop().time() - started_s)))
        await self._complete(turn_id, "done", None, heard, " ".join(self._script.sentences))

    def _chunks(self) -> list[tuple[int, int, float, bytes]]:
        """Return sentence, number, due time and sound of each chunk."""
        n_bytes = len(self._standin.reply_pcm16) // len(self._script.sentences)
        cuts = [
            (index, number, self._standin.reply_pcm16[at : min(at + 2 * CHUNK_SAMPLES, (index + 1) * n_bytes)])
            for index in range(len(self._script.sentences))
            for number, at in enumerate(range(index * n_bytes, (index + 1) * n_bytes, 2 * CHUNK_SAMPLES))
        ]
        due_s = accumulate((len(cut[2]) / 2 / REPLY_RATE_HZ for cut in cuts), initial=0.0)
        return [(index, number, due, pcm16) for (index, number, pcm16), due in zip(cuts, due_s, strict=False)]

    async def _complete(self, turn_id: str, outcome: str, reason: str | None, heard: str, spoken: str) -> None:
        marks = {"received": 0.0, "uploaded": 1640.2, "transcript": 1702.9, "prompt": 1703.4, "first_token": 1711.8}
        marks |= {"first_sentence": 1712.3, "first_speech": 1768.6, "first_fetch": 1769.1, "ended": 2004.7}
        ends = {"outcome": outcome, "reason": reason, "heard": heard, "spoken": spoken}
        await self.tell("turn_complete", turn_id=turn_id, **ends, waterfall_ms=marks)
