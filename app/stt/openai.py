"""Transcripts from an OpenAI-compatible server: speaches, vLLM, LocalAI, whisper.cpp, OpenRouter, OpenAI and others."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from app.audio.wav import write_wav
from app.errors import BackendError, ConfigError
from app.openai_api import OpenAiServer, ServerConfig
from app.settings import SecondsOrZero
from app.stt.backend import Hypothesis
from app.stt.interim import Interim

if TYPE_CHECKING:
    import httpx2

LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class OpenAiSttConfig(ServerConfig):
    """Which model recognises, and how."""

    base_url: str = "http://127.0.0.1:8000/v1"
    "Address of the server; scheme, `/v1` and the path of an endpoint may be there or not.  speaches by default."
    model: str = "Systran/faster-whisper-small"
    "Name of the model as the server knows it."
    language: str = ""
    "What is spoken, as an ISO 639-1 code; empty to let the model find out."
    prompt: str = ""
    "Words and names that are likely to be spoken."
    stream: bool = False
    "Ask for partial transcripts; a server that cannot answers at once, which is fine."
    interim_s: SecondsOrZero = 0.0
    "Ask for what is known so far after so much more speech, in seconds; 0 for never. Each time all of it is sent anew."
    request_shape: Literal["multipart", "json"] = "multipart"
    "How the sound is sent: `multipart` as OpenAI wants it, `json` for OpenRouter."
    max_no_speech_prob: float | None = None
    "Drop segments that are silence with more than this probability, such as 0.6; null keeps all.  Whisper models only."
    extra_body: dict[str, Any] = field(default_factory=dict)
    "More fields of the request, such as `temperature` or `hotwords`."

    def __post_init__(self) -> None:
        """Refuse settings that exclude each other.  Raises ConfigError."""
        super().__post_init__()
        if self.max_no_speech_prob is not None and (self.stream or self.request_shape == "json"):
            raise ConfigError("max_no_speech_prob: needs stream false and request_shape 'multipart'")
        if self.stream and self.request_shape == "json":
            raise ConfigError("stream: is true; with request_shape 'json' allowed is false")


class OpenAiStt:
    """Sends one WAV file per utterance when the speech has ended, and if it is told to what there is of it before."""

    Config = OpenAiSttConfig

    def __init__(self, config: OpenAiSttConfig) -> None:
        self._config = config
        self._server = OpenAiServer(config)

    def load(self) -> None:
        """Make the client."""
        self._server.load()

    def transcribe(self, chunks: Iterable[bytes]) -> Iterator[Hypothesis]:
        """Yield partial hypotheses if they are asked for, and at last one final.  Raises BackendError."""
        pcm16 = bytearray()
        interim = Interim(self._ask_early, self._config.interim_s)
        try:
            for chunk in chunks:
                pcm16 += chunk
                if (heard := interim.follow(pcm16)) is not None:
                    yield Hypothesis(heard, is_final=False, language=self._config.language)
        finally:
            interim.drop()
        yield from self._ask(bytes(pcm16))

    def close(self) -> None:
        """Close all connections."""
        self._server.close()

    def _ask(self, pcm16: bytes) -> Iterator[Hypothesis]:
        if len(pcm16) < BYTES_PER_SAMPLE:
            yield Hypothesis("", is_final=True, language=self._config.language)
            return
        heard, language = "", ""
        with self._answer(write_wav(pcm16, SPEECH_RATE_HZ)) as response:
            for event in self._server.events(response, _is_end):
                language = _language(event) or language
                if event.get("type") == "transcript.text.done":
                    heard = str(event.get("text") or heard)
                elif new_text := self._new_text(event):
                    heard += new_text
                    if self._config.stream:
                        yield Hypothesis(heard.strip(), is_final=False, language=self._config.language)
        yield Hypothesis(heard.strip(), is_final=True, language=language or self._config.language)

    def _ask_early(self, pcm16: bytes) -> str:
        """Return what is heard in the beginning of an utterance, empty where the server fails."""
        try:
            return "".join(hypothesis.text for hypothesis in self._ask(pcm16) if hypothesis.is_final)
        except BackendError:
            return ""  # The request for the whole utterance will say what is wrong.

    @contextmanager
    def _answer(self, wav: bytes) -> Iterator[httpx2.Response]:
        if self._config.request_shape == "json":
            import httpx2

            with self._server.failures():
                yield self._server.client.post("/audio/transcriptions", body=self._json(wav), cast_to=httpx2.Response)
        else:
            create = self._server.client.audio.transcriptions.with_streaming_response.create
            with self._server.failures(), create(**self._form(wav)) as answer:
                yield answer.http_response

    def _form(self, wav: bytes) -> dict[str, Any]:
        config = self._config
        form: dict[str, Any] = {
            "file": ("speech.wav", wav, "audio/wav"),
            "model": config.model,
            "response_format": "json" if config.max_no_speech_prob is None else "verbose_json",
            "extra_body": config.extra_body,
        }
        optional = {"language": config.language, "prompt": config.prompt, "stream": config.stream}
        return form | {name: value for name, value in optional.items() if value}

    def _json(self, wav: bytes) -> dict[str, Any]:
        config = self._config
        sound = {"data": base64.b64encode(wav).decode(), "format": "wav"}
        optional = {"language": config.language, "prompt": config.prompt}
        body = {"model": config.model, "input_audio": sound}
        return body | {name: value for name, value in optional.items() if value} | config.extra_body

    def _new_text(self, event: dict[str, Any]) -> str:
        """Return what an answer or event adds: OpenAI's streamed shape, vLLM's, or the plain one, whole or in parts."""
        if event.get("type") == "transcript.text.delta":
            return str(event.get("delta") or "")
        if choices := event.get("choices"):
            return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)
        if "type" in event:
            return ""
        limit, segments = self._config.max_no_speech_prob, event.get("segments")
        if limit is None or not segments:
            return " " + str(event.get("text") or "").strip()
        return "".join(s.get("text", "") for s in segments if (s.get("no_speech_prob") or 0.0) <= limit)


def _is_end(event: dict[str, Any]) -> bool:
    """Tell the last event; servers that stream plain parts mark none, so any part may be it."""
    has_finished = any(choice.get("finish_reason") for choice in event.get("choices") or [])
    return has_finished or event.get("type") == "transcript.text.done" or ("text" in event and "type" not in event)


def _language(event: dict[str, Any]) -> str:
    """Return the tag of the language; some servers write `english`, which is none."""
    named = [event.get("language"), *(event.get("languages") or [])]
    return next((tag for tag in named if isinstance(tag, str) and LANGUAGE_TAG.fullmatch(tag)), "")
