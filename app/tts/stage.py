"""Text to speech.  Receives Sentence.  Emits SpeechChunk, in order."""

from __future__ import annotations

from collections.abc import Iterator

from app.messages import Message, Sentence, SpeechChunk
from app.stage import Job, Stage
from app.tts.backend import Speech


class TtsStage(Stage):
    """Speaks sentences."""

    name = "tts"

    def process(self, job: Job) -> Iterator[Message]:
        sentence = job.message
        assert isinstance(sentence, Sentence)
        speech: Iterator[Speech] = self.backends.run(
            job, lambda backend, watched: watched(backend.synthesize(sentence.text, sentence.voice))
        )
        for piece in speech:
            yield SpeechChunk(job.header, sentence.index, piece.pcm16, piece.sample_rate)
