"""A stand-in for OpenAI-compatible servers: true HTTP on a free port of 127.0.0.1, scripted to fail as real ones do."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import socket
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiohttp import web

from tests.standins.openai_scenario import BODY_FAILURES, STATUS_FAILURES, Behaviour, behaviour_of, fail_with_status

SAMPLE_RATE_HZ = 24_000
SPEECH_S_PER_CHARACTER = 0.02
CHUNK_BYTES = 1023
"""Odd, so that every second chunk begins in the middle of a sample."""

TRANSCRIPT = "What time is it?"
SSE = "text/event-stream"


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    "By name in lower case."
    body: bytes
    "Empty for a form, which is in `form` and `file`."
    json: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    file_name: str = ""
    file: bytes = b""
    "The sound of a transcription, whichever shape it came in."


class OpenAiStandIn:
    """Runs while the `with` block does.

    scenario: how each POST is answered, in order, then `ok`; a Behaviour or only the name of its failure.
    A mapping from `chat`, `transcriptions` and `speech` scripts each of them by itself.
    """

    def __init__(self, scenario: Iterable[Behaviour | str] | Mapping[str, Iterable[Behaviour | str]] = ()) -> None:
        by_verb = scenario if isinstance(scenario, Mapping) else {"": scenario}
        self._scenario = {verb: [behaviour_of(b) for b in behaviours] for verb, behaviours in by_verb.items()}
        self.requests: list[Received] = []
        self.base_url = ""
        self._connections: set[object] = set()
        self._was_disconnected = threading.Event()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="openai-stand-in", daemon=True)

    def __enter__(self) -> OpenAiStandIn:
        self._thread.start()
        assert self._is_ready.wait(10), "the stand-in did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the stand-in did not stop"

    @property
    def n_connections(self) -> int:
        """How many connections requests came over so far."""
        return len(self._connections)

    def wait_for_disconnect(self, timeout_s: float = 5.0) -> bool:
        """Wait until a client has left before its answer was complete; False when none did in that time."""
        return self._was_disconnected.wait(timeout_s)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/audio/transcriptions", self._transcriptions)
        app.router.add_post("/v1/audio/speech", self._speech)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener).start()
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self._is_ready.set()
        await self._stop.wait()
        await runner.cleanup()

    # ---- the verbs ---------------------------------------------------------------------------------------------------

    async def _models(self, request: web.Request) -> web.StreamResponse:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "stand-in"} for name in ("chat", "ear", "voice")
        ]
        return web.json_response({"object": "list", "data": models})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        received = await self._record(request)
        behaviour = self._next("chat")
        text = behaviour.text or f"You said: {received.json['messages'][-1]['content']} Très bien, 好的! 🎵"
        deltas = behaviour.deltas or tuple({"content": piece} for piece in _words(text))
        if not received.json.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": behaviour.finish_reason}
            return await self._answer(request, behaviour, "application/json", _halves({"choices": [choice]}))
        events = [_chat_event({"role": "assistant", "content": ""}), b": OPENROUTER PROCESSING\n\n"]
        events += [_chat_event(delta) for delta in deltas]
        if behaviour.finish_reason:
            events.append(_chat_event({}, behaviour.finish_reason))
        events += [_event({"choices": [], "usage": {"total_tokens": 7}}), b"data: [DONE]\n\n"]
        return await self._answer(request, behaviour, SSE, events)

    async def _transcriptions(self, request: web.Request) -> web.StreamResponse:
        received = await self._record(request)
        behaviour = self._next("transcriptions")
        text = behaviour.text or TRANSCRIPT
        if received.form and not (received.file_name.endswith(".wav") and received.file.startswith(b"RIFF")):
            return web.json_response({"error": {"message": f"Invalid file format: {received.file_name}"}}, status=400)
        if received.form.get("stream") == "true":
            events = [_event({"type": "transcript.text.delta", "delta": piece}) for piece in _words(text)]
            events.append(_event({"type": "transcript.text.done", "text": text, "usage": {"type": "tokens"}}))
            return await self._answer(request, behaviour, SSE, events)
        return await self._answer(request, behaviour, "application/json", _halves({"text": text}))

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        received = await self._record(request)
        behaviour = self._next("speech")
        sound = sine(len(received.json["input"])) if behaviour.sound is None else behaviour.sound
        if received.json.get("response_format") == "wav" and behaviour.sound is None:
            sound = wav_header(0xFFFFFFFF) + sound
        chunks = [sound[at : at + CHUNK_BYTES] for at in range(0, len(sound), CHUNK_BYTES)]
        if received.json.get("stream_format") == "sse" or behaviour.shape == "sglang":
            events = [_speech_event(chunk, behaviour.shape) for chunk in chunks] + _speech_end(behaviour.shape)
            return await self._answer(request, behaviour, SSE, events)
        kind = "audio/wav" if received.json.get("response_format") == "wav" else "audio/pcm"
        return await self._answer(request, behaviour, kind, chunks)

    # ---- the wire ----------------------------------------------------------------------------------------------------

    async def _record(self, request: web.Request) -> Received:
        assert request.transport is not None
        self._connections.add(request.transport.get_extra_info("peername"))
        headers = {name.lower(): value for name, value in request.headers.items()}
        form: dict[str, str] = {}
        file_name, file, body, parsed = "", b"", b"", None
        if request.content_type == "multipart/form-data":
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    file_name, file = value.filename, value.file.read()
                    value.file.close()
                else:
                    form[name] = str(value)
        else:
            body = await request.read()
            parsed = json.loads(body)
            file = base64.b64decode(parsed.get("input_audio", {}).get("data", ""))
        received = Received(request.path, headers, body, parsed, form, file_name, file)
        self.requests.append(received)
        return received

    def _next(self, verb: str) -> Behaviour:
        queue = self._scenario.get(verb) or self._scenario.get("") or []
        return queue.pop(0) if queue else Behaviour()

    async def _answer(
        self, request: web.Request, behaviour: Behaviour, kind: str, items: Sequence[bytes]
    ) -> web.StreamResponse:
        try:
            return await self._try_answer(request, behaviour, kind, items)
        except (asyncio.CancelledError, ConnectionError):
            self._was_disconnected.set()
            raise

    async def _try_answer(
        self, request: web.Request, behaviour: Behaviour, kind: str, items: Sequence[bytes]
    ) -> web.StreamResponse:
        if behaviour.failure == "stall":
            await self._stop.wait()
        if behaviour.failure in STATUS_FAILURES:
            return fail_with_status(behaviour.failure, request.headers.get("Authorization", ""))
        if behaviour.answer is not None:
            is_text = isinstance(behaviour.answer, str)
            items = [behaviour.answer.encode()] if is_text else _halves(dict(behaviour.answer))
            kind = SSE if is_text else "application/json"
        response = web.StreamResponse(headers={"Content-Type": behaviour.content_type or kind})
        response.enable_chunked_encoding()
        await response.prepare(request)
        has_failure = behaviour.failure in BODY_FAILURES
        for item in items[: behaviour.n_items] if has_failure else items:
            for piece in _cut_badly(item) if kind == SSE else (item,):
                await response.write(piece)
        if has_failure:
            await self._fail_in_body(request, response, behaviour.failure)
        await response.write_eof()
        return response

    async def _fail_in_body(self, request: web.Request, response: web.StreamResponse, failure: str) -> None:
        if failure == "stall-after":
            await self._stop.wait()
        elif failure == "reset-after" and request.transport is not None:
            linger = struct.pack("ii", 1, 0)  # close with RST instead of FIN
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.transport.abort()
        elif failure == "error-event":
            await response.write(_event({"error": {"message": "The server had an error", "type": "server_error"}}))
        elif failure == "error-402-event":
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            await response.write(_event({"error": {"code": 402, "message": "No credits"}, "choices": [choice]}))
        elif failure == "garbage-event":
            await response.write(b"data: {not json\n\n")


def sine(n_characters: int) -> bytes:
    """Return PCM16 of a 440 Hz tone at SAMPLE_RATE_HZ, as long as a text of this length takes."""
    n_samples = max(1, round(n_characters * SPEECH_S_PER_CHARACTER * SAMPLE_RATE_HZ))
    step = 2 * math.pi * 440 / SAMPLE_RATE_HZ
    return struct.pack(f"<{n_samples}h", *(round(8000 * math.sin(step * i)) for i in range(n_samples)))


def wav_header(data_bytes: int, sample_rate: int = SAMPLE_RATE_HZ, before_data: bytes = b"") -> bytes:
    """Return what goes before the samples of a mono WAV.  before_data: whole chunks between format and sound."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", 0xFFFFFFFF, b"WAVE")
    return riff + form + before_data + struct.pack("<4sI", b"data", data_bytes)


def _cut_badly(event: bytes) -> list[bytes]:
    """Cut where a careless reader breaks: in the name of the field, in each character, between CR and LF."""
    inside = (i + 1 for i, byte in enumerate(event) if byte >= 0xC0)
    cuts = sorted({0, 3, *inside, len(event) - 3, len(event) - 1, len(event)})
    return [event[start:end] for start, end in pairwise(cuts)]


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:]


def _halves(body: Mapping[str, Any]) -> list[bytes]:
    text = json.dumps(body, ensure_ascii=False).encode()
    return [text[:5], text[5:9], text[9:]]


def _event(body: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False)}\r\n\r\n".encode()


def _chat_event(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "choices": [choice]})


def _speech_event(chunk: bytes, shape: str) -> bytes:
    data = base64.b64encode(chunk).decode()
    if shape == "sglang":
        audio = {"data": data, "format": "pcm", "mime_type": "audio/pcm", "sample_rate": SAMPLE_RATE_HZ}
        return _event({"object": "audio.speech.chunk", "index": 0, "audio": audio, "finish_reason": None})
    return _event({"type": "speech.audio.delta", "audio": data})


def _speech_end(shape: str) -> list[bytes]:
    if shape == "sglang":
        last = {"object": "audio.speech.chunk", "index": 1, "audio": None, "finish_reason": "stop"}
        return [_event(last), b"data: [DONE]\n\n"]
    return [_event({"type": "speech.audio.done", "usage": {"total_tokens": 9}})]
