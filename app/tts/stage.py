"""Text to speech.  Receives Sentence.  Emits SpeechChunk, in order."""

from __future__ import annotations

from collections.abc import Iterator

from app.fallback import Watch
from app.messages import Message, Sentence, SpeechChunk
from app.stage import Job, Stage
from app.tts.backend import Speech, TtsBackend


class TtsStage(Stage):
    """Speaks sentences."""

    name = "tts"

    def process(self, job: Job) -> Iterator[Message]:
        sentence = job.message
        assert isinstance(sentence, Sentence)
        first, _, voice = sentence.voice.partition("/")

        def speak(backend: TtsBackend, watched: Watch[Speech]) -> Iterator[Speech]:
            return watched(backend.synthesize(sentence.text))

        def speak_first(backend: TtsBackend, watched: Watch[Speech]) -> Iterator[Speech]:
            return watched(backend.synthesize(sentence.text, voice))

        speech: Iterator[Speech] = self.backends.run(job, speak, first=first, call_first=speak_first)
        for piece in speech:
            yield SpeechChunk(job.header, sentence.index, piece.pcm16, piece.sample_rate)
