"""Replies from a language model behind an OpenAI-compatible server: Ollama, vLLM, OpenRouter, OpenAI and others."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from app.errors import BackendRejected
from app.messages import Prompt
from app.openai_api import OpenAiServer, ServerConfig

THINK_TAGS = ("<think>", "</think>")


@dataclass(frozen=True)
class OpenAiLlmConfig(ServerConfig):
    """Which model answers, and how."""

    base_url: str = "http://127.0.0.1:11434/v1"
    "Address of the server; scheme, `/v1` and the path of an endpoint may be there or not.  Ollama by default."
    read_timeout_s: float = 120.0
    "Longest silence of the server in seconds; Ollama is silent while it loads the model for the first answer."
    model: str = "llama3.2"
    "Name of the model as the server knows it."
    temperature: float | None = None
    "0 is dry, 1 is lively; null leaves it to the server, as models that reason want it."
    max_tokens: int | None = None
    "Longest reply in tokens; null for no limit."
    max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = "auto"
    "How the limit is called: OpenAI refuses `max_tokens`, Ollama may ignore the other; auto tells them by the address."
    extra_body: dict[str, Any] = field(default_factory=dict)
    "More fields of the request, such as `reasoning_effort` for models that think or `provider` for OpenRouter."


class OpenAiLlm:
    """Streams chat completions; closing the reply closes the connection, which ends the work of the server."""

    Config = OpenAiLlmConfig

    def __init__(self, config: OpenAiLlmConfig) -> None:
        self._config = config
        self._server = OpenAiServer(config)

    def load(self) -> None:
        """Make the client."""
        self._server.load()

    def reply(self, prompt: Prompt) -> Iterator[str]:
        """Yield the reply as text deltas, without what the model thinks.  Raises BackendError, also in mid-reply."""
        with closing(self._deltas(prompt)) as deltas:
            yield from strip_thinking(deltas)

    def close(self) -> None:
        """Close all connections."""
        self._server.close()

    def _deltas(self, prompt: Prompt) -> Generator[str, None, None]:
        completions = self._server.client.chat.completions.with_streaming_response
        with self._server.failures(), completions.create(**self._request(prompt)) as answer:
            for event in self._server.events(answer.http_response, _has_finish_reason):
                for choice in (event.get("choices") or [])[:1]:  # empty in the event that counts tokens
                    delta = choice.get("delta") or choice.get("message") or {}
                    yield from filter(None, (delta.get("content"), delta.get("refusal")))
                    self._check_finish(choice.get("finish_reason"))

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        config = self._config
        request: dict[str, Any] = {
            "model": prompt.options.get("model") or config.model,
            "messages": [{"role": message.role, "content": message.text} for message in prompt.messages],
            "stream": True,
            "extra_body": config.extra_body,
        }
        temperature = prompt.options.get("temperature")
        temperature = config.temperature if temperature is None else temperature
        if temperature is not None:
            request["temperature"] = temperature
        if config.max_tokens is not None:
            request[self._limit_field()] = config.max_tokens
        return request

    def _limit_field(self) -> str:
        if self._config.max_tokens_field != "auto":
            return self._config.max_tokens_field
        host = urlsplit(self._server.base_url).hostname or ""
        is_openai = host.endswith((".openai.com", ".openai.azure.com"))
        return "max_completion_tokens" if is_openai else "max_tokens"

    def _check_finish(self, reason: str | None) -> None:
        if reason == "content_filter":
            raise BackendRejected(f"{self._server.name} cut the reply off by its content filter; ask something else")
        if reason == "error":
            raise self._server.unavailable("gave up in mid-reply; try again, or choose another model")


def _has_finish_reason(event: dict[str, Any]) -> bool:
    return any(choice.get("finish_reason") for choice in event.get("choices") or [])


def strip_thinking(deltas: Iterable[str]) -> Iterator[str]:
    """Yield the text outside of `<think>` blocks, whose tags may be cut anywhere between two deltas."""
    pending, is_thinking = "", False
    for delta in deltas:
        pending += delta
        tag = THINK_TAGS[is_thinking]
        while tag in pending:
            said, _, pending = pending.partition(tag)
            if said and not is_thinking:
                yield said
            is_thinking = not is_thinking
            tag = THINK_TAGS[is_thinking]
            pending = pending.lstrip() if not is_thinking else pending
        n_held = _overlap(pending, tag)
        said, pending = pending[: len(pending) - n_held], pending[len(pending) - n_held :]
        if said and not is_thinking:
            yield said
    if pending and not is_thinking:
        yield pending


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of `tag`."""
    return next((n for n in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:n])), 0)
