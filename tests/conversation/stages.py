"""A pipeline without processes: tests answer for the stages, message by message."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.errors import StageUnavailable
from app.messages import Message, Prompt, Sentence, SpeechChunk, StageDone, StageFailed, Transcript, UtteranceChunk
from app.pipeline.jobs import HubJob, Sink

SPEECH = b"\x10\x20\x10\xe0" * 800
"""A tenth of a second, loud enough to be speech."""


@dataclass
class ScriptedTicket:
    """Remembers what the conversation did with its work."""

    chunks: list[UtteranceChunk] = field(default_factory=list)
    is_cancelled: bool = False

    def feed(self, chunk: UtteranceChunk) -> None:
        self.chunks.append(chunk)

    def cancel(self) -> None:
        self.is_cancelled = True


class ScriptedPipeline:
    """Takes what a real pipeline takes and gives what the test says."""

    def __init__(self) -> None:
        self.jobs: list[HubJob] = []
        self.tickets: list[ScriptedTicket] = []
        self.refuses = False
        self.is_ready = self.takes_work = True
        self.wait_s = 0.0
        self.on_tick: list[object] = []

    def submit(self, message: Message, sink: Sink) -> ScriptedTicket:
        if self.refuses:
            raise StageUnavailable("the queue is full")
        self.jobs.append(HubJob(len(self.jobs) + 1, message, sink, 0.0))
        self.tickets.append(ScriptedTicket())
        return self.tickets[-1]

    def every_tick(self, callback: object) -> None:
        self.on_tick.append(callback)

    def expected_wait_s(self) -> float:
        return self.wait_s

    def failures(self) -> dict[str, str]:
        return {}

    # ---- what a test says in the place of a stage ------------------------------------------------------------------

    def last(self, kind: type[Message]) -> HubJob:
        """Return the newest job with a message of this kind."""
        return next(job for job in reversed(self.jobs) if isinstance(job.message, kind))

    def ticket(self, job: HubJob) -> ScriptedTicket:
        return self.tickets[job.id - 1]

    def give(self, job: HubJob, *messages: Message) -> None:
        for message in messages:
            if not self.ticket(job).is_cancelled:
                job.sink(job, message)

    def hear(self, job: HubJob, text: str) -> None:
        """Recognise the utterance of a job as `text`."""
        self.give(job, Transcript(job.header, text, is_final=True), StageDone(job.header, "stt"))

    def answer(self, *texts: str) -> list[HubJob]:
        """Answer the newest prompt with sentences; return their jobs for the voice."""
        job = self.last(Prompt)
        before = len(self.jobs)
        self.give(job, *(Sentence(job.header, i, text) for i, text in enumerate(texts)), StageDone(job.header, "llm"))
        return self.jobs[before:]

    def speak(self, job: HubJob, *chunks: bytes) -> None:
        """Speak the sentence of a job in these chunks."""
        assert isinstance(job.message, Sentence)
        index = job.message.index
        self.give(job, *(SpeechChunk(job.header, index, pcm16, 16_000) for pcm16 in chunks))
        self.give(job, StageDone(job.header, "tts"))

    def fail(self, job: HubJob, stage: str, code: str = "backend-failed") -> None:
        self.give(job, StageFailed(job.header, stage, code, "told to fail"))
