"""Speech to text.  Receives Utterance.  Emits Transcript: partial ones, then one that is final."""

from __future__ import annotations

from collections.abc import Iterator

from app.messages import Message, Transcript
from app.stage import Job, Stage
from app.stt.backend import Hypothesis


class SttStage(Stage):
    """Recognises utterances; starts before they are complete when its backend can use that."""

    name = "stt"

    def process(self, job: Job) -> Iterator[Message]:
        hypotheses: Iterator[Hypothesis] = self.backends.run(
            job, lambda backend, watched: watched(backend.transcribe(job.speech()))
        )
        for hypothesis in hypotheses:
            yield Transcript(job.header, hypothesis.text.strip(), hypothesis.is_final, hypothesis.language)
