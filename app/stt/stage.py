"""Speech to text.  Receives Utterance.  Emits Transcript: partial ones, then one that is final."""

from __future__ import annotations

from collections.abc import Iterator

from app.messages import Message, Transcript
from app.stage import Job, Stage
from app.stt.agreement import Agreement
from app.stt.backend import Hypothesis


class SttStage(Stage):
    """Recognises utterances; starts before they are complete when its backend can use that."""

    name = "stt"

    def process(self, job: Job) -> Iterator[Message]:
        """Yield the words that are certain so far, each time that they become more, and at last the transcript.

        Partial words bind nobody: a backend that fails after them is asked again, or the next one is.
        """
        hypotheses: Iterator[Hypothesis] = self.backends.run(
            job,
            lambda backend, watched: watched(backend.transcribe(job.speech())),
            binds=lambda hypothesis: hypothesis.is_final,
        )
        agreement = Agreement()
        for hypothesis in hypotheses:
            text = hypothesis.text.strip() if hypothesis.is_final else agreement.add(hypothesis.text)
            if text is not None:
                yield Transcript(job.header, text, hypothesis.is_final, hypothesis.language)
