"""The workers of one stage: start, watch, restart, stop, and who does which job."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from app.errors import StageUnavailable
from app.messages import Message, StageDone, StageFailed, UtteranceChunk
from app.metrics import Metrics
from app.pipeline.jobs import HubJob, Redone, Sink
from app.pipeline.links import HubEnd
from app.pipeline.pool_settings import PoolSettings
from app.pipeline.restarts import Restarts
from app.pipeline.worker import work
from app.stage import Control, Stage

log = logging.getLogger(__name__)


class Worker:
    """One process and the way to it."""

    def __init__(self, process: BaseProcess, link: HubEnd, started_at_s: float) -> None:
        self.process = process
        self.link = link
        self.started_at_s = started_at_s
        self.ready = False
        self.jobs: dict[int, HubJob] = {}
        self.pinged_at_s: float | None = None
        self.heard_at_s = started_at_s
        self.failure = ""


class StagePool:
    """The workers of one stage and the jobs that wait for them.

    `submit`, `feed` and `cancel` may be called from any thread; everything else belongs to the pipeline's thread.
    """

    def __init__(
        self,
        stage: Stage,
        settings: PoolSettings,
        metrics: Metrics,
        streams: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = stage.name
        self.settings = settings
        self.workers: list[Worker] = []
        self.failure = ""
        "Why the last worker could not load; empty when one could."
        self._stage = stage
        self._streams = streams
        # Looked up once: finding the child of a metric costs more than counting.
        self._waits_s = metrics.stage_wait_s.labels(self.name)
        self._runs_s = metrics.stage_run_s.labels(self.name)
        self._restarted = metrics.stage_restarts.labels(self.name)
        metrics.stage_queue.labels(self.name).set_function(lambda: len(self._pending))
        self._clock = clock
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._pending: deque[HubJob] = deque()
        self._jobs: dict[int, HubJob] = {}
        self._places: dict[int, Worker] = {}
        "Which worker does a job, by the job's id."
        self._mean_run_s = 0.0
        self._restarts = Restarts()
        self._stopping = False

    # ---- any thread -----------------------------------------------------------------------------------------------

    def submit(self, message: Message, sink: Sink) -> HubJob:
        """Queue a job; raises StageUnavailable when too many wait already."""
        with self._lock:
            if self._stopping or len(self._pending) >= self.settings.max_queue:
                raise StageUnavailable(f"{len(self._pending)} jobs wait for the {self.name} stage; try again soon")
            job = HubJob(next(self._ids), message, sink, self._clock())
            self._jobs[job.id] = job
            self._pending.append(job)
            self._assign()
        return job

    def feed(self, job: HubJob, chunk: UtteranceChunk) -> None:
        """Add speech to a job whose utterance is still arriving."""
        with self._lock:
            if job.id not in self._jobs:
                return
            job.chunks.append(chunk)
            if chunk.is_last:
                job.completed_at_s = self._clock()
            if (worker := self._places.get(job.id)) is not None:
                self._tell(worker, job.id, chunk)
            elif chunk.is_last:
                self._assign()

    def cancel(self, job: HubJob) -> None:
        """Forget a job: nothing of it is delivered any more, and its worker turns to other work."""
        with self._lock:
            if self._jobs.pop(job.id, None) is None:
                return
            if (worker := self._places.get(job.id)) is None:
                self._pending.remove(job)
                return
            # The job keeps its place until the worker says that it has ended.
            self._tell(worker, job.id, Control.CANCEL)

    def expected_wait_s(self) -> float:
        """Guess how long a job that came now would wait."""
        with self._lock:
            places = max(1, sum(w.ready for w in self.workers)) * self.settings.concurrency
            return len(self._pending) * self._mean_run_s / places

    @property
    def is_ready(self) -> bool:
        return any(worker.ready for worker in self.workers)

    @property
    def takes_work(self) -> bool:
        """True when a worker is ready, or will be again so soon that work may wait for it."""
        if self.is_ready:
            return True
        soon_s = self._clock() + self.settings.patience_s
        return self._restarts.was_ready and not self.failure and self._restarts.are_due_by(soon_s)

    def status(self) -> dict[str, object]:
        """Return plain figures for /health."""
        with self._lock:
            return {
                "workers_ready": sum(worker.ready for worker in self.workers),
                "workers": self.settings.workers,
                "queued": len(self._pending),
                "running": sum(len(worker.jobs) for worker in self.workers),
                **({"failure": self.failure} if self.failure else {}),
            }

    # ---- the pipeline's thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all workers."""
        for _ in range(self.settings.workers):
            self._start_worker()

    def on_readable(self, worker: Worker) -> None:
        """Take what a worker says, or notice its death."""
        try:
            envelopes = worker.link.receive()
        except (EOFError, OSError):
            self._bury(worker)
            return
        worker.heard_at_s, worker.pinged_at_s = self._clock(), None
        for job_id, message in envelopes:
            self._hear(worker, job_id, message)

    def _hear(self, worker: Worker, job_id: int, message: Message | Control) -> None:
        if message is Control.READY:
            worker.ready, self.failure, self._restarts.was_ready = True, "", True
            log.info("%s worker %d is ready", self.name, worker.process.pid)
            with self._lock:
                self._assign()
        elif job_id == 0 and isinstance(message, StageFailed):
            worker.failure = message.message
        elif isinstance(message, Message):
            self._deliver(worker, job_id, message)

    def tick(self) -> None:
        """Restart what is due, and kill workers that hang."""
        now_s = self._clock()
        with self._lock:
            n_due = 0 if self._stopping else self._restarts.take_due(now_s)
        for _ in range(n_due):
            self._start_worker()
        for worker in self.workers:
            self._check(worker, now_s)

    def stop(self) -> None:
        """Ask all workers to leave, then make them."""
        self._stopping = True
        for worker in self.workers:
            worker.link.send(0, Control.STOP)
        deadline_s = time.monotonic() + self.settings.stop_timeout_s
        for worker in self.workers:
            worker.process.join(max(0.0, deadline_s - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.link.close()
        self.workers.clear()

    def _start_worker(self) -> None:
        link = HubEnd(self._context)
        process = self._context.Process(
            target=work,
            name=f"voice-{self.name}",
            args=(self._stage, link.worker_end, self.settings.concurrency, logging.getLogger().level),
            daemon=True,
        )
        process.start()
        link.started()
        with self._lock:
            self.workers.append(Worker(process, link, self._clock()))

    def _assign(self) -> None:
        """Give waiting jobs to workers with a free place; the lock is held."""
        now_s = self._clock()
        for job in list(self._pending):
            if not job.is_complete and not self._streams:
                continue
            free = [w for w in self.workers if w.ready and len(w.jobs) < self.settings.concurrency]
            if not free:
                break
            worker = min(free, key=lambda w: len(w.jobs))
            self._pending.remove(job)
            self._places[job.id], job.started_at_s = worker, now_s
            worker.jobs[job.id] = job
            self._tell(worker, job.id, job.whole_message())
            self._waits_s.observe(now_s - job.submitted_at_s)

    def _tell(self, worker: Worker, job_id: int, message: Message | Control) -> None:
        if not worker.link.send(job_id, message):
            log.error("%s worker %s takes no messages and is killed", self.name, worker.process.pid)
            worker.process.kill()

    def _deliver(self, worker: Worker, job_id: int, message: Message) -> None:
        with self._lock:
            is_end = isinstance(message, (StageDone, StageFailed))
            if is_end:
                self._end(worker, job_id)
            job = self._jobs.pop(job_id, None) if is_end else self._jobs.get(job_id)
        if job is not None:
            job.sink(job, message)

    def _end(self, worker: Worker, job_id: int) -> None:
        job = worker.jobs.pop(job_id, None)
        if job is not None:
            del self._places[job_id]
            if job.is_complete:
                # Until then the worker only waited for the speaker, which says nothing about the next job.
                run_s = self._clock() - max(job.started_at_s, job.completed_at_s)
                self._mean_run_s += 0.2 * (run_s - self._mean_run_s)
                self._runs_s.observe(run_s)
        self._assign()

    def _bury(self, worker: Worker) -> None:
        """Clean up after a dead worker, plan its successor and save its jobs."""
        worker.process.join(1.0)
        worker.process.kill()
        with self._lock:
            self.workers.remove(worker)
            worker.link.close()
            for job_id in worker.jobs:
                del self._places[job_id]
            lost = [self._jobs[i] for i in worker.jobs if i in self._jobs]
            given_up = [job for job in lost if job.attempt + 1 >= self.settings.max_attempts]
            for job in given_up:
                del self._jobs[job.id]
            again = [job for job in lost if job not in given_up]
            self._pending.extendleft(reversed(again))
            if not self._stopping:
                self._plan_restart(worker)
        for job in again:
            # Told before anything new of the job can be: that comes through this thread too.
            job.attempt += 1
            job.sink(job, Redone(job.header, self.name))
        with self._lock:
            self._assign()
        for job in given_up:
            text = f"the {self.name} worker died {job.attempt + 1} times at this work"
            job.sink(job, StageFailed(job.header, self.name, "stage-died", text))

    def _plan_restart(self, worker: Worker) -> None:
        now_s = self._clock()
        wait_s = self._restarts.plan(now_s - worker.started_at_s if worker.ready else 0.0, now_s)
        self.failure = worker.failure or self.failure
        self._restarted.inc()
        log.warning(
            "%s worker %s ended (exit code %s)%s; a new one starts in %.1f s",
            self.name, worker.process.pid, worker.process.exitcode,
            f": {worker.failure}" if worker.failure else "", wait_s,
        )  # fmt: skip

    def _check(self, worker: Worker, now_s: float) -> None:
        if not worker.ready:
            return
        if worker.pinged_at_s is not None:
            if now_s - worker.pinged_at_s > self.settings.pong_timeout_s:
                log.error("%s worker %s hangs and is killed", self.name, worker.process.pid)
                worker.process.kill()
        elif now_s - worker.heard_at_s > self.settings.ping_every_s and worker.link.send(0, Control.PING):
            worker.pinged_at_s = now_s
