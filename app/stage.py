"""What a stage is, and the one loop that every stage worker runs.

Receives (job id, message) from the hub.  Emits (job id, message) for all that a job gives, then its end.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar, Protocol

from app.errors import BackendError
from app.fallback import BackendChain, BackendChoice, Limits
from app.messages import Header, Message, StageDone, StageFailed, Utterance, UtteranceChunk

log = logging.getLogger(__name__)


class Control(enum.Enum):
    """What hub and worker say to each other besides work."""

    READY = "ready"
    PING = "ping"
    PONG = "pong"
    CANCEL = "cancel"
    STOP = "stop"


class WorkerLink(Protocol):
    """The worker's end of the way to the hub."""

    def receive(self, timeout_s: float) -> tuple[int, Message | Control] | None:
        """Return the next message, or None when none came in time."""

    def send(self, job_id: int, message: Message | Control) -> None:
        """Hand a message to the hub; calls may come from several threads."""


class Job:
    """One piece of work inside a worker."""

    def __init__(self, job_id: int, message: Message) -> None:
        self.id = job_id
        self.message = message
        self._changed = threading.Condition()
        self._on_cancel: list[Callable[[], None]] = []
        self.cancelled = False
        self._speech: list[bytes] = []
        self.is_complete = True
        if isinstance(message, Utterance):
            self._speech = [message.pcm16] if message.pcm16 else []
            self.is_complete = message.is_complete

    @property
    def header(self) -> Header:
        """The header for what the job gives now."""
        return replace(self.message.header, created_at_s=time.monotonic())

    def feed(self, chunk: UtteranceChunk) -> None:
        """Add speech that has arrived since the job began."""
        with self._changed:
            if chunk.pcm16:
                self._speech.append(chunk.pcm16)
            self.is_complete = self.is_complete or chunk.is_last
            self._changed.notify_all()

    def speech(self) -> Iterator[bytes]:
        """Yield the utterance from its beginning, chunk by chunk, as it arrives; can be asked for again."""
        position = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: position < len(self._speech) or self.is_complete or self.cancelled)  # noqa: B023
                if self.cancelled or position == len(self._speech):
                    return
                chunk = self._speech[position]
            position += 1
            yield chunk

    def cancel(self) -> None:
        """Make the job end before its next item."""
        with self._changed:
            self.cancelled = True
            self._changed.notify_all()
            callbacks = list(self._on_cancel)
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the job is cancelled, at once when it is already."""
        with self._changed:
            self._on_cancel.append(callback)
            cancelled = self.cancelled
        if cancelled:
            callback()


class Stage(ABC):
    """One step of a turn: load once in the worker, then process jobs, then close."""

    name: ClassVar[str]

    def __init__(self, choices: tuple[BackendChoice, ...], limits: Limits) -> None:
        self.backends = BackendChain(self.name, choices, limits)

    def load(self) -> None:
        """Load the backends; raise BackendUnavailable when none of them can be."""
        self.backends.load()

    @abstractmethod
    def process(self, job: Job) -> Iterator[Message]:
        """Yield what the job gives."""

    def close(self) -> None:
        """Close the backends."""
        self.backends.close()


def run_worker(stage: Stage, link: WorkerLink, concurrency: int) -> None:
    """Load the stage, say so, and work until the hub says stop."""
    stage.load()
    link.send(0, Control.READY)
    jobs: dict[int, Job] = {}
    with ThreadPoolExecutor(concurrency, thread_name_prefix=f"job-{stage.name}") as executor:
        while not stage.backends.is_stuck():
            received = link.receive(timeout_s=1.0)
            if received is None:
                continue
            job_id, message = received
            if message is Control.STOP:
                break
            if message is Control.PING:
                link.send(0, Control.PONG)
            elif message is Control.CANCEL or isinstance(message, UtteranceChunk):
                _tell(jobs.get(job_id), message)
            elif isinstance(message, Message):
                jobs[job_id] = Job(job_id, message)
                executor.submit(_run_job, stage, jobs[job_id], link, jobs)
        for job in list(jobs.values()):
            job.cancel()
    stage.close()


def _tell(job: Job | None, message: UtteranceChunk | Control) -> None:
    if job is None:
        return
    if isinstance(message, UtteranceChunk):
        job.feed(message)
    else:
        job.cancel()


def _run_job(stage: Stage, job: Job, link: WorkerLink, jobs: dict[int, Job]) -> None:
    end: Message = StageDone(job.header, stage.name)
    try:
        if not job.cancelled:
            for message in stage.process(job):
                if job.cancelled:
                    break
                link.send(job.id, message)
    except BackendError as error:
        log.warning("%s of turn %s failed: %s: %s", stage.name, job.header.turn_id, error.code, error.message)
        end = StageFailed(job.header, stage.name, error.code, error.message)
    except Exception:
        log.exception("%s of turn %s crashed", stage.name, job.header.turn_id)
        end = StageFailed(
            job.header, stage.name, "stage-crashed", f"the {stage.name} stage has a fault; its log tells more"
        )
    finally:
        jobs.pop(job.id, None)
        link.send(job.id, end)
