"""What an engine of replies is, and which ones there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from app.messages import Action, Prompt


class LlmBackend(Protocol):
    """Answers one prompt at a time; calls may come from several threads when the stage's concurrency is above 1."""

    Config: type

    def load(self) -> None:
        """Make ready, in the worker process; raise BackendUnavailable when that is not possible here."""

    def reply(self, prompt: Prompt) -> Iterator[str | Action]:
        """Yield the reply as text deltas of any length, and actions where the reply does something.

        Reasoning of thinking models is never yielded.  Raises BackendError, also in mid-reply.
        """

    def close(self) -> None:
        """Give back what `load` took."""


BACKENDS = {
    "intents": "app.llm.intents:IntentsLlm",
    "openai": "app.llm.openai:OpenAiLlm",
    "fake": "app.llm.fake:FakeLlm",
}
