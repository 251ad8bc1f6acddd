"""The loop that every worker runs, with both ends of the link in the test's hands."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.analysis.fake import FakeAnalysis
from app.analysis.stage import AnalysisStage
from app.errors import BackendRejected
from app.fallback import BackendChoice, Limits
from app.llm.fake import FakeLlm
from app.llm.stage import LlmStage
from app.messages import (
    Action,
    Analysis,
    ChatMessage,
    Header,
    Mark,
    Message,
    Prompt,
    Sentence,
    SpeechChunk,
    StageDone,
    StageFailed,
    Transcript,
    Utterance,
    UtteranceChunk,
)
from app.stage import Control, Job, Stage, run_worker
from app.stt.fake import FakeStt
from app.stt.stage import SttStage
from app.tts.backend import Speech
from app.tts.fake import FakeTts
from app.tts.stage import TtsStage

HEADER = Header("kitchen", "t1")
SPEECH = b"\x07\x00" + b"\x10\x00" * 100


class Wire:
    """A link without processes."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[tuple[int, Message | Control]] = queue.Queue()
        self.outbox: queue.Queue[tuple[int, Message | Control]] = queue.Queue()

    def receive(self, timeout_s: float) -> tuple[int, Message | Control] | None:
        try:
            return self.inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def send(self, job_id: int, message: Message | Control) -> None:
        self.outbox.put((job_id, message))

    def tell(self, job_id: int, message: Message | Control) -> None:
        self.inbox.put((job_id, message))

    def next(self) -> tuple[int, Message | Control]:
        return self.outbox.get(timeout=10)

    def until_end(self, job_id: int) -> list[Message]:
        """Return what the job gives, with its end."""
        given: list[Message] = []
        while not given or not isinstance(given[-1], (StageDone, StageFailed)):
            sender, message = self.next()
            if sender == job_id and isinstance(message, Message):
                given.append(message)
        return given


@contextmanager
def running(stage: Stage, concurrency: int = 1) -> Iterator[Wire]:
    """Run a stage's worker loop in a thread until the block ends."""
    wire = Wire()
    worker = threading.Thread(target=run_worker, args=(stage, wire, concurrency))
    worker.start()
    try:
        assert wire.next() == (0, Control.READY)
        yield wire
    finally:
        wire.tell(0, Control.STOP)
        worker.join(10)
        assert not worker.is_alive()


def stt(**settings: object) -> SttStage:
    return SttStage((BackendChoice("fake", FakeStt, FakeStt.Config(**settings)),), Limits(retries=0))  # type: ignore[arg-type]


def kinds(messages: list[Message]) -> list[str]:
    return [type(message).__name__ for message in messages]


def test_a_transcript() -> None:
    """An utterance gives one final transcript and the end of the job."""
    with running(stt()) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH))
        given = wire.until_end(1)
    assert kinds(given) == ["Transcript", "StageDone"]
    assert isinstance(given[0], Transcript)
    assert (given[0].text, given[0].is_final, given[0].header.turn_id) == ("utterance 7", True, "t1")


def test_speech_in_pieces() -> None:
    """An utterance that is still arriving is heard as it arrives."""
    with running(stt(partials=True)) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH, is_complete=False))
        wire.tell(1, UtteranceChunk(HEADER, SPEECH))
        partial = wire.next()[1]
        wire.tell(1, UtteranceChunk(HEADER, SPEECH * 100))
        wire.tell(1, UtteranceChunk(HEADER, b"", is_last=True))
        given = wire.until_end(1)
    assert isinstance(partial, Transcript)
    assert (partial.text, partial.is_final) == ("utterance", False)
    assert kinds(given) == ["Transcript", "Transcript", "StageDone"]


def test_words_that_appear() -> None:
    """Each partial transcript is longer than the one before, and the last one is final."""
    with running(stt(partials=True, text="one two three four")) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH[2:4] * 1600, is_complete=False))
        for _ in range(5):
            wire.tell(1, UtteranceChunk(HEADER, SPEECH[2:4] * 1600))
        wire.tell(1, UtteranceChunk(HEADER, b"", is_last=True))
        heard = [m for m in wire.until_end(1) if isinstance(m, Transcript)]
    *partial, final = heard
    assert [m.text for m in partial] == ["one", "one two", "one two three", "one two three four"]
    assert not any(m.is_final for m in partial)
    assert (final.text, final.is_final) == ("one two three four", True)


def test_sentences_marks_and_actions() -> None:
    """A prompt gives the first-token mark and actions before the sentences they belong to."""
    config = FakeLlm.Config(reply="One is enough here. Two are more than enough.", timer_s=5.0)
    stage = LlmStage((BackendChoice("fake", FakeLlm, config),), Limits())
    with running(stage) as wire:
        wire.tell(1, Prompt(HEADER, (ChatMessage("user", "hello"),)))
        given = wire.until_end(1)
    assert kinds(given) == ["Mark", "Action", "Sentence", "Sentence", "StageDone"]
    assert [m.text for m in given if isinstance(m, Sentence)] == ["One is enough here.", "Two are more than enough."]
    assert isinstance(given[0], Mark)
    assert isinstance(given[1], Action)


def test_a_reply_that_fails_in_mid_sentence() -> None:
    """Half a sentence is never given out."""
    config = FakeLlm.Config(reply="This one is whole. And this one is not", fail="error", fail_after=6)
    stage = LlmStage((BackendChoice("fake", FakeLlm, config),), Limits(retries=0))
    with running(stage) as wire:
        wire.tell(1, Prompt(HEADER, (ChatMessage("user", "hello"),)))
        given = wire.until_end(1)
    assert [m.text for m in given if isinstance(m, Sentence)] == ["This one is whole."]
    assert isinstance(given[-1], StageFailed)
    assert given[-1].code == "backend-unavailable"


def test_spoken_chunks() -> None:
    """A sentence gives its audio in order."""
    config = FakeTts.Config(s_per_character=0.1, chunk_s=0.5)
    with running(TtsStage((BackendChoice("fake", FakeTts, config),), Limits())) as wire:
        wire.tell(1, Sentence(HEADER, 3, "twelve chars"))
        given = wire.until_end(1)
    chunks = [m for m in given if isinstance(m, SpeechChunk)]
    assert [len(c.pcm16) for c in chunks] == [16_000, 16_000, 6_400]
    assert {c.sentence_index for c in chunks} == {3}


def test_sentences_of_several_characters() -> None:
    """Each sentence says whose it is, and the count goes on from one speaker to the next."""
    config = FakeLlm.Config(reply="Anna: One is enough.\nTom: Two. Or three.")
    with running(LlmStage((BackendChoice("fake", FakeLlm, config),), Limits())) as wire:
        wire.tell(1, Prompt(HEADER, (ChatMessage("user", "hello"),), characters=("Anna", "Tom")))
        given = wire.until_end(1)
    assert [(m.index, m.character, m.text) for m in given if isinstance(m, Sentence)] == [
        (0, "Anna", "One is enough."),
        (1, "Tom", "Two."),
        (2, "Tom", "Or three."),
    ]


@pytest.mark.parametrize(
    ("voice", "asked"),
    [
        ("", [("a", ""), ("b", ""), ("c", "")]),
        ("b", [("b", ""), ("a", ""), ("c", "")]),
        ("c/roa/fr", [("c", "roa/fr"), ("a", ""), ("b", "")]),
        ("gone/x", [("a", ""), ("b", ""), ("c", "")]),
    ],
)
def test_a_voice_is_asked_of_its_own_backend_only(voice: str, asked: list[tuple[str, str]]) -> None:
    """The backend of the voice comes first; the others follow in their order, each with its own voice."""
    seen = []

    class RefusingTts(FakeTts):
        def synthesize(self, text: str, voice: str = "") -> Iterator[Speech]:
            seen.append((self._config.fail_on, voice))
            raise BackendRejected("not this one")

    choices = tuple(BackendChoice(name, RefusingTts, FakeTts.Config(fail_on=name)) for name in "abc")
    with running(TtsStage(choices, Limits())) as wire:
        wire.tell(1, Sentence(HEADER, 0, "hello", voice))
        given = wire.until_end(1)
    assert kinds(given) == ["StageFailed"]
    assert seen == asked


def test_all_analysers_are_asked() -> None:
    """One analyser that fails does not silence the other, and the job still tells of it."""

    class BrokenAnalysis(FakeAnalysis):
        def analyse(self, pcm16: bytes) -> dict[str, float | None]:
            raise BackendRejected("cannot hear this")

    choices = (
        BackendChoice("broken", BrokenAnalysis, FakeAnalysis.Config()),
        BackendChoice("fake", FakeAnalysis, FakeAnalysis.Config()),
    )
    with running(AnalysisStage(choices, Limits())) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH))
        given = wire.until_end(1)
    assert [m.analyser for m in given if isinstance(m, Analysis)] == ["fake"]
    assert isinstance(given[-1], StageFailed)


def test_jobs_run_beside_each_other() -> None:
    """A worker of concurrency 2 answers the second job while the first still listens."""
    with running(stt(), concurrency=2) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH, is_complete=False))
        wire.tell(2, Utterance(HEADER, SPEECH))
        assert kinds(wire.until_end(2)) == ["Transcript", "StageDone"]
        wire.tell(1, UtteranceChunk(HEADER, b"", is_last=True))
        assert kinds(wire.until_end(1)) == ["Transcript", "StageDone"]


def test_cancelling_ends_a_job_that_waits_for_speech() -> None:
    """A cancelled job ends without a transcript, and its place is free again."""
    with running(stt()) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH, is_complete=False))
        wire.tell(1, Control.CANCEL)
        assert kinds(wire.until_end(1)) == ["StageDone"]
        wire.tell(2, Utterance(HEADER, SPEECH))
        assert kinds(wire.until_end(2)) == ["Transcript", "StageDone"]


def test_a_ping_is_answered() -> None:
    """The hub can tell a worker that works from one that hangs."""
    with running(stt()) as wire:
        wire.tell(0, Control.PING)
        assert wire.next() == (0, Control.PONG)


def test_a_fault_in_a_stage_is_told() -> None:
    """A stage that raises something unexpected fails its job and goes on."""

    class FaultyStage(SttStage):
        def process(self, job: Job) -> Iterator[Message]:
            raise ZeroDivisionError

    with running(FaultyStage((), Limits())) as wire:
        for job_id in (1, 2):
            wire.tell(job_id, Utterance(HEADER, SPEECH))
            (end,) = wire.until_end(job_id)
            assert isinstance(end, StageFailed)
            assert end.code == "stage-crashed"


def test_an_analyser_that_hangs_is_left() -> None:
    """An analyser that gives nothing in time holds no place for ever."""
    choices = (BackendChoice("fake", FakeAnalysis, FakeAnalysis.Config(fail="hang")),)
    with running(AnalysisStage(choices, Limits(first_item_timeout_s=0.02))) as wire:
        wire.tell(1, Utterance(HEADER, SPEECH))
        (end,) = wire.until_end(1)
    assert isinstance(end, StageFailed)
    assert end.code == "backend-timeout"
