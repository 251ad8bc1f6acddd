"""Replies.  Receives Prompt.  Emits Mark("first_token"), Sentence and Action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.fallback import BackendChoice, Limits
from app.llm.sentences import split_sentences
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

        sentences: Iterator[str] = self.backends.run(
            job, lambda backend, watched: split_sentences(texts(watched(backend.reply(prompt))), **self._cutting)
        )
        for index, text in enumerate(sentences):
            yield from _drain(waiting)
            yield Sentence(job.header, index, text)
        yield from _drain(waiting)


def _drain(waiting: list[Message]) -> Iterator[Message]:
    while waiting:
        yield waiting.pop(0)
