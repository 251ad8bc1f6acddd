"""A stage's workers as real processes: assignment, cancelling, streaming and death."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.errors import StageUnavailable
from app.fallback import BackendChoice, Limits
from app.messages import Header, Message, StageDone, StageFailed, Transcript, Utterance, UtteranceChunk
from app.metrics import Metrics
from app.pipeline.jobs import HubJob, Redone
from app.pipeline.pipeline import Pipeline, StageSpec
from app.pipeline.pool_settings import PoolSettings
from app.pipeline.workers import StagePool, Worker
from app.stt.fake import FakeStt
from app.stt.stage import SttStage

pytestmark = pytest.mark.process
HEADER = Header("kitchen", "t1")
SPEECH = b"\x07\x00" + b"\x10\x00" * 100


class Sink:
    """Collects what a job gives."""

    def __init__(self) -> None:
        self.given: queue.Queue[Message] = queue.Queue()

    def __call__(self, job: HubJob, message: Message) -> None:
        self.given.put(message)

    def until_end(self) -> list[Message]:
        messages: list[Message] = []
        while not messages or not isinstance(messages[-1], (StageDone, StageFailed)):
            messages.append(self.given.get(timeout=60))
        return messages


@contextmanager
def running(settings: PoolSettings | None = None, **fake: object) -> Iterator[Pipeline]:
    """Run a pipeline of one stage until the block ends."""
    stage = SttStage((BackendChoice("fake", FakeStt, FakeStt.Config(**fake)),), Limits(retries=0))  # type: ignore[arg-type]
    pipeline = Pipeline({"stt": StageSpec(stage, settings or PoolSettings())}, Metrics())
    pipeline.start()
    try:
        yield pipeline
    finally:
        pipeline.stop()


def test_work_waits_for_the_first_worker() -> None:
    """A job that comes before any worker is ready is done when one is."""
    with running() as pipeline:
        sink = Sink()
        pipeline.submit(Utterance(HEADER, SPEECH), sink)
        assert [type(m) for m in sink.until_end()] == [Transcript, StageDone]
        assert pipeline.is_ready
        assert pipeline.status()["stt"] == {"workers_ready": 1, "workers": 1, "queued": 0, "running": 0}


def test_a_full_queue_refuses() -> None:
    """More jobs than may wait are refused, and refused work leaves nothing behind."""
    with running(PoolSettings(max_queue=2), fail="hang") as pipeline:
        for _ in range(2):
            pipeline.submit(Utterance(HEADER, SPEECH), Sink())
        with pytest.raises(StageUnavailable):
            pipeline.submit(Utterance(HEADER, SPEECH), Sink())


def test_cancelled_work_gives_nothing() -> None:
    """A job that is cancelled while it waits is never done; the one behind it is."""
    with running() as pipeline:
        first, second = Sink(), Sink()
        pipeline.submit(Utterance(HEADER, SPEECH), first).cancel()
        pipeline.submit(Utterance(HEADER, SPEECH), second)
        second.until_end()
        assert first.given.empty()


def test_speech_is_streamed_to_the_worker() -> None:
    """Speech that arrives piece by piece reaches the backend whole."""
    with running(text="{seconds} s") as pipeline:
        sink = Sink()
        ticket = pipeline.submit(Utterance(HEADER, b"", is_complete=False), sink)
        for _ in range(3):
            ticket.feed(UtteranceChunk(HEADER, SPEECH[:2] * 16_000))
        ticket.feed(UtteranceChunk(HEADER, b"", is_last=True))
        transcript = sink.until_end()[0]
        assert isinstance(transcript, Transcript)
        assert transcript.text == "3 s"


def test_work_is_done_again_with_all_of_its_speech() -> None:
    """Speech that the dead worker had heard is heard by its successor too, and what comes later as well."""
    with running(text="{seconds} s") as pipeline:
        warm_up = Sink()
        pipeline.submit(Utterance(HEADER, SPEECH), warm_up)
        warm_up.until_end()
        sink = Sink()
        ticket = pipeline.submit(Utterance(HEADER, SPEECH[:2] * 16_000, is_complete=False), sink)
        ticket.feed(UtteranceChunk(HEADER, SPEECH[:2] * 16_000))
        pipeline.pools["stt"].workers[0].process.kill()
        assert isinstance(sink.given.get(timeout=60), Redone)
        ticket.feed(UtteranceChunk(HEADER, SPEECH[:2] * 16_000, is_last=True))
        transcript = sink.until_end()[0]
        assert isinstance(transcript, Transcript)
        assert transcript.text == "3 s"


def test_work_that_kills_is_given_up() -> None:
    """A job that was lost with several workers fails instead of killing more."""
    with running(PoolSettings(max_attempts=2), fail="crash") as pipeline:
        sink = Sink()
        pipeline.submit(Utterance(HEADER, SPEECH), sink)
        given = sink.until_end()
        assert [type(m) for m in given] == [Redone, StageFailed]
        assert isinstance(given[-1], StageFailed)
        assert given[-1].code == "stage-died"


def test_a_stage_that_cannot_load_says_why() -> None:
    """The reason is told, and the pool goes on trying."""

    stage = SttStage((BackendChoice("none", MissingStt, None),), Limits())
    pipeline = Pipeline({"stt": StageSpec(stage, PoolSettings())}, Metrics())
    told: queue.Queue[str] = queue.Queue()
    pipeline.every_tick(lambda: [told.put(text) for text in pipeline.failures().values()] and None)
    pipeline.start()
    try:
        assert "not installed here" in told.get(timeout=60)
        assert not pipeline.is_ready
        assert not pipeline.takes_work
    finally:
        pipeline.stop()


class ListeningLink:
    """The way to a worker that takes everything and says what the test wants."""

    def __init__(self) -> None:
        self.says: list[tuple[int, Message]] = []

    def send(self, job_id: int, message: Message) -> bool:
        return True

    def receive(self) -> list[tuple[int, Message]]:
        return self.says


@pytest.mark.parametrize("is_heard_out", [True, False])
def test_a_slow_speaker_is_no_long_job(is_heard_out: bool) -> None:
    """What new work would wait is reckoned from the ends of utterances, and not from those that were broken off."""
    now_s = [100.0]
    stage = SttStage((), Limits())
    pool = StagePool(stage, PoolSettings(concurrency=1), Metrics(), streams=True, clock=lambda: now_s[0])
    link = ListeningLink()
    worker = Worker(None, link, now_s[0])  # type: ignore[arg-type]
    worker.ready = True
    pool.workers.append(worker)
    job = pool.submit(Utterance(HEADER, SPEECH, is_complete=False), Sink())
    pool.submit(Utterance(HEADER, SPEECH), Sink())
    pool.submit(Utterance(HEADER, SPEECH), Sink())
    now_s[0] += 30.0
    if is_heard_out:
        pool.feed(job, UtteranceChunk(HEADER, SPEECH, is_last=True))
        now_s[0] += 0.5
    else:
        pool.cancel(job)
    link.says = [(job.id, StageDone(HEADER, "stt"))]
    pool.on_readable(worker)
    assert pool.expected_wait_s() == pytest.approx(0.2 * 0.5 if is_heard_out else 0.0)


class MissingStt(FakeStt):
    """A recogniser whose library is not there."""

    def load(self) -> None:
        from app.errors import BackendUnavailable

        raise BackendUnavailable("not installed here")
