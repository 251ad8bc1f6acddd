"""Replies.  Receives Prompt.  Emits Mark("first_token"), Sentence and Action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.fallback import BackendChoice, Limits, Watch
from app.llm.backend import LlmBackend
from app.llm.speakers import split_speech
from app.messages import Action, Mark, Message, Prompt, Sentence
from app.stage import Job, Stage


class LlmStage(Stage):
    """Answers prompts sentence by sentence, so that the first can be spoken while the rest is being written."""

    name = "llm"

    def __init__(self, choices: tuple[BackendChoice, ...], limits: Limits, **cutting: int) -> None:
        super().__init__(choices, limits)
        self._cutting = cutting

    def process(self, job: Job) -> Iterator[Message]:
        prompt = job.message
        assert isinstance(prompt, Prompt)
        # What waits beside the text: marks and actions leave before the sentence that follows them.
        waiting: list[Message] = []

        def texts(parts: Iterable[str | Action]) -> Iterator[str]:
            for n, part in enumerate(parts):
                if n == 0:
                    waiting.append(Mark(job.header, "first_token"))
                if isinstance(part, Action):
                    waiting.append(part)
                else:
                    yield part

        def sentences(backend: LlmBackend, watched: Watch[str | Action]) -> Iterator[tuple[str, str]]:
            return split_speech(texts(watched(backend.reply(prompt))), prompt.characters, **self._cutting)

        spoken: Iterator[tuple[str, str]] = self.backends.run(job, sentences)
        for index, (character, text) in enumerate(spoken):
            yield from _drain(waiting)
            yield Sentence(job.header, index, text, character=character)
        yield from _drain(waiting)


def _drain(waiting: list[Message]) -> Iterator[Message]:
    while waiting:
        yield waiting.pop(0)
