"""A scripted language model for tests and benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.fake import FakeConfig
from app.messages import Action, Prompt


class FakeLlm:
    """Answers with the same words, word by word, filled in with what was heard."""

    @dataclass(frozen=True)
    class Config(FakeConfig):
        """What it answers, when and how it fails."""

        reply: str = "You said {heard}. That was turn {turn}."
        "The reply; {heard} is what the user said, {turn} counts the user's turns."
        fail_after: int = 0
        "How many words it gives before it fails."
        timer_s: float = 0.0
        "When above 0, every reply sets a timer of this length, in seconds."

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> None:
        """Nothing to load."""

    def reply(self, prompt: Prompt) -> Iterator[str | Action]:
        """Yield the scripted reply, a word at a time."""
        heard = prompt.messages[-1].text
        turn = sum(message.role == "user" for message in prompt.messages)
        if self._config.timer_s > 0:
            yield Action(prompt.header, "set-timer", {"name": "", "duration_s": self._config.timer_s})
        for n, word in enumerate(re.findall(r"\S+\s*", self._config.reply.format(heard=heard, turn=turn))):
            if n == self._config.fail_after:
                self._config.fail_if_told(heard)
            self._config.pause()
            yield word

    def close(self) -> None:
        """Nothing to close."""
