"""Speech from an OpenAI-compatible server: Kokoro-FastAPI, speaches, LocalAI, vLLM, SGLang, Higgs Audio and others."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from app.audio.pcm import BYTES_PER_SAMPLE
from app.audio.wav import WavFormat, find_data, to_mono_pcm16
from app.errors import BackendRejected, BadAudio, ConfigError
from app.openai_api import OpenAiServer, ServerConfig, content_type
from app.tts.backend import Speech

if TYPE_CHECKING:
    import httpx2

SOUND_TYPES = re.compile(r"audio/.*|(application|binary)/octet-stream|")
COMPRESSED = re.compile(rb"ID3|OggS|fLaC|\x1a\x45\xdf\xa3")
MPEG_FRAME = re.compile(rb"\xff[\xe2\xe3\xf1-\xf3\xf8-\xfb]")
"""MP3 or AAC without a tag; plain samples may begin like this too, so it counts only where the server names MPEG."""

HEAD_BYTES = 12
"""How much tells a WAV from bare samples."""

UNKNOWN_SIZE_BYTES = 0x7FFF_0000
"""Servers that stream a WAV write the largest number they know, or a little less, for a size not known yet."""


@dataclass(frozen=True)
class OpenAiTtsConfig(ServerConfig):
    """Which voice speaks, and how."""

    base_url: str = "http://127.0.0.1:8880/v1"
    "Address of the server; scheme, `/v1` and the path of an endpoint may be there or not.  Kokoro-FastAPI by default."
    model: str = "kokoro"
    "Name of the model as the server knows it."
    voice: str = "af_heart"
    "Name of the voice as the server knows it."
    response_format: Literal["pcm", "wav"] = "pcm"
    "`pcm` has no header and starts soonest; `wav` names its rate, for servers whose voices differ in it."
    sample_rate: int = 24_000
    "Rate of `pcm` in Hz, unless the answer names one."
    stream_format: Literal["audio", "sse"] = "audio"
    "`sse` asks for events; a server that sends events unasked is understood too."
    speed: float | None = None
    "1 is normal; null leaves it to the server."
    instructions: str = ""
    "How to speak, for models that can be told."
    extra_body: dict[str, Any] = field(default_factory=dict)
    "More fields of the request, such as `stream` (vLLM-Omni, SGLang-Omni, Boson) or `lang_code` (Kokoro-FastAPI)."

    def __post_init__(self) -> None:
        """Refuse what no voice has.  Raises ConfigError."""
        super().__post_init__()
        if not 4_000 <= self.sample_rate <= 192_000:
            raise ConfigError(f"sample_rate: is {self.sample_rate}; allowed is 4000 to 192000 Hz")


class OpenAiTts:
    """Speaks one sentence per request and gives its sound as it arrives."""

    Config = OpenAiTtsConfig

    def __init__(self, config: OpenAiTtsConfig) -> None:
        self._config = config
        self._server = OpenAiServer(config)

    def load(self) -> None:
        """Make the client."""
        self._server.load()

    def synthesize(self, text: str, voice: str = "") -> Iterator[Speech]:
        """Yield the spoken text as it arrives; nothing for blank text.  Raises BackendError, also in mid-sentence."""
        if not text.strip():
            return
        create = self._server.client.audio.speech.with_streaming_response.create
        with self._server.failures(), create(**self._request(text, voice)) as answer:
            yield from self._speech(answer.http_response)

    def close(self) -> None:
        """Close all connections."""
        self._server.close()

    def _request(self, text: str, voice: str) -> dict[str, Any]:
        config = self._config
        request: dict[str, Any] = {
            "input": text,
            "model": config.model,
            "voice": voice or config.voice,
            "response_format": config.response_format,
            "extra_body": config.extra_body,
        }
        if config.stream_format == "sse":
            request["stream_format"] = "sse"
        if config.speed is not None:
            request["speed"] = config.speed
        if config.instructions:
            request["instructions"] = config.instructions
        return request

    def _speech(self, response: httpx2.Response) -> Iterator[Speech]:
        reader: _SoundReader | None = None
        has_sound = False
        for sound, sample_rate in self._sounds(response):
            if reader is None or sound.startswith(b"RIFF"):  # SGLang-Omni sends each piece as a file of its own
                self._check_complete(reader)
                reader = _SoundReader(sample_rate, is_mpeg="mpeg" in content_type(response))
            try:
                pcm16 = reader.feed(sound)
            except BadAudio as error:
                raise BackendRejected(f"{self._server.name}: {error}; try another response_format") from None
            if pcm16:
                has_sound = True
                yield Speech(pcm16, reader.sample_rate)
        self._check_complete(reader)
        if not has_sound:
            raise self._server.unavailable("sent no sound; check model and voice")

    def _sounds(self, response: httpx2.Response) -> Iterator[tuple[bytes, int]]:
        """Yield the sound in pieces as they arrive, each with the sample rate that its surroundings tell."""
        rate = self._config.sample_rate
        if content_type(response) == "text/event-stream":
            for event in self._server.events(response, _is_end):
                data, sample_rate = _event_sound(event)
                if data:
                    yield self._decode(data), sample_rate or rate
        elif SOUND_TYPES.fullmatch(content_type(response)):
            named = re.search(r"rate=(\d+)", response.headers.get("content-type", ""))
            for chunk in response.iter_bytes():
                yield chunk, int(named[1]) if named else rate
        else:
            raise self._server.refusal(response)

    def _decode(self, data: str) -> bytes:
        try:
            return base64.b64decode(data, validate=True)
        except ValueError:
            raise self._server.unavailable("sent sound that is no base64; look into its log") from None

    def _check_complete(self, reader: _SoundReader | None) -> None:
        if reader is not None and reader.is_truncated:
            raise self._server.unavailable("ended its sound too early; look into its log")


def _is_end(event: dict[str, Any]) -> bool:
    return event.get("type") == "speech.audio.done" or bool(event.get("finish_reason"))


def _event_sound(event: dict[str, Any]) -> tuple[str, int]:
    """Return the sound of an event in base64, and its sample rate or 0: OpenAI's shape, or SGLang-Omni's."""
    sound = event.get("audio")
    if isinstance(sound, dict):
        return str(sound.get("data") or ""), int(sound.get("sample_rate") or 0)
    return str(sound or ""), 0


class _SoundReader:
    """Turns bytes as they arrive, with a WAV header or as bare PCM16, into whole samples."""

    def __init__(self, sample_rate: int, is_mpeg: bool) -> None:
        self._is_mpeg = is_mpeg
        self._format = WavFormat("int", BYTES_PER_SAMPLE, 1, sample_rate)
        self._head: bytes | None = b""
        self._left_bytes: int | None = None
        self._rest = b""

    @property
    def sample_rate(self) -> int:
        """The rate of the samples in Hz; from the header, once it is read."""
        return self._format.sample_rate

    @property
    def is_truncated(self) -> bool:
        """Whether a WAV header, or the size in it, says that more should have come."""
        return bool(self._left_bytes) or (self._head or b"").startswith(b"RIFF")

    def feed(self, chunk: bytes) -> bytes:
        """Return the samples that are whole now, as PCM16.  Raises BadAudio for what cannot be samples."""
        if self._head is not None:
            self._head += chunk
            start = self._find_samples(self._head)
            if start is None:
                return b""
            chunk, self._head = self._head[start:], None
        if self._left_bytes is not None:
            chunk = chunk[: self._left_bytes]  # what follows the samples is text about them
            self._left_bytes -= len(chunk)
        data = self._rest + chunk
        n_whole = len(data) - len(data) % self._format.frame_bytes
        self._rest = data[n_whole:]
        return to_mono_pcm16(data[:n_whole], self._format) if n_whole else b""

    def _find_samples(self, head: bytes) -> int | None:
        """Return where the samples begin, or None while that cannot be told yet."""
        if len(head) < HEAD_BYTES:
            return None
        if COMPRESSED.match(head) or (self._is_mpeg and MPEG_FRAME.match(head)):
            raise BadAudio("compressed sound where PCM was asked for")
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return 0
        header = find_data(head)
        if header is None:
            return None
        if not header.format.is_plain:
            raise BadAudio(f"WAV of format {header.format.encoding}")
        self._format = header.format
        is_size_known = header.data_bytes is not None and header.data_bytes < UNKNOWN_SIZE_BYTES
        self._left_bytes = header.data_bytes if is_size_known else None
        return header.data_offset
