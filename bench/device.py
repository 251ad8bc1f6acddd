"""A thin device as a client plays it: it uploads speech and fetches its reply."""

from __future__ import annotations

import asyncio
import io
import random
import time
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The answer of POST /upload."""

    status: int
    turn_id: str
    speech_s: float
    "Length of the utterance."


@dataclass(frozen=True, slots=True)
class Fetched:
    """One answer of GET /audio."""

    status: int
    turn_id: str
    segment: int
    asked_at_s: float
    "Monotonic time at which the request was sent."
    answered_at_s: float
    "Monotonic time at which the head of the answer was there."
    first_byte_at_s: float
    "Monotonic time at which the first of its body was there."


class Device:
    """One device, which is its own session."""

    def __init__(self, http: aiohttp.ClientSession, session_id: str) -> None:
        self.session_id = session_id
        self._http = http
        self._upload_url = f"/upload?session={session_id}"
        self._audio_url = f"/audio?session={session_id}&timeout="

    async def upload(self, speech: bytes | AsyncIterator[bytes], content_type: str = "audio/wav") -> Uploaded:
        """Send an utterance, whole or as it comes."""
        async with self._http.post(self._upload_url, data=speech, headers={"Content-Type": content_type}) as response:
            answer = await response.json()
        return Uploaded(response.status, answer.get("turn", ""), answer.get("duration_s", 0.0))

    async def fetch(self, timeout_s: int = 30) -> Fetched:
        """Ask for the next segment or the end of a turn."""
        asked_at_s = time.monotonic()
        async with self._http.get(f"{self._audio_url}{timeout_s}") as response:
            answered_at_s = time.monotonic()
            await response.content.readany()
            first_byte_at_s = time.monotonic()
            await response.read()
        turn_id, segment = response.headers.get("X-Turn", ""), int(response.headers.get("X-Segment", -1))
        return Fetched(response.status, turn_id, segment, asked_at_s, answered_at_s, first_byte_at_s)

    async def waterfall(self, turn_id: str) -> dict[str, float]:
        """Return when each thing happened in a turn, in milliseconds after the hub opened it."""
        async with self._http.get(f"/turns/{turn_id}?session={self.session_id}") as response:
            marks: dict[str, float] = (await response.json()).get("waterfall_ms", {})
        return marks


def open_http(port: int) -> aiohttp.ClientSession:
    """Return a client with as many connections as there are devices, which all stay open."""
    return aiohttp.ClientSession(
        f"http://127.0.0.1:{port}",
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=90.0),
    )


def speech_wav(duration_s: float) -> bytes:
    """Return a WAV file of noise that is no silence: PCM16 mono at SAMPLE_RATE_HZ."""
    noise = random.Random(7)
    samples = bytearray()
    for _ in range(int(duration_s * SAMPLE_RATE_HZ)):
        samples += noise.randrange(-6000, 6000).to_bytes(2, "little", signed=True)
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(SAMPLE_RATE_HZ)
        wav.writeframes(bytes(samples))
    return file.getvalue()


async def sleep_until(at_s: float) -> None:
    """Sleep until a monotonic time."""
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
