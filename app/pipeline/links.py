"""The way between the hub and one stage worker, made so that it survives a kill.

Each worker has a queue inwards and a pipe outwards of its own, thrown away with it: a process killed while it holds a
shared queue's lock would lock it for ever.  A third pipe carries nothing: it closes when the hub dies, and the worker
leaves.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pickle
import queue
import struct
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import TYPE_CHECKING

from app.messages import Message
from app.stage import Control

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

log = logging.getLogger(__name__)

INBOX_CAPACITY = 32_767
"""The most that a semaphore counts everywhere.  A worker gets only jobs it has a place for; the rest is live speech."""

PIPE_BYTES = 1 << 20
"""Room for some sentences of speech, so that neither end waits for the other."""
_FRAME = struct.Struct("!I")
"""The length of a message, before each."""

Envelope = tuple[int, "Message | Control"]
"""Job id (0 for none) and what is said."""


def _widen(pipe: Connection) -> None:
    """Make room in a pipe, where the system can."""
    try:
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):
        log.debug("a pipe keeps the size that the system gave it")


class WorkerEnd:
    """What the worker holds; travels to it when it is spawned."""

    def __init__(self, inbox: Queue[Envelope], outbox: Connection, life: Connection) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._life = life

    def open(self) -> None:
        """Begin to watch the hub; called once, inside the worker."""
        self._sending = threading.Lock()
        threading.Thread(target=self._leave_with_hub, name="life-of-hub", daemon=True).start()

    def receive(self, timeout_s: float) -> Envelope | None:
        try:
            return self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def send(self, job_id: int, message: Message | Control) -> None:
        payload = pickle.dumps((job_id, message), protocol=pickle.HIGHEST_PROTOCOL)
        unsent = memoryview(_FRAME.pack(len(payload)) + payload)
        with self._sending:
            while unsent:
                unsent = unsent[os.write(self._outbox.fileno(), unsent) :]

    def close_hub_side(self) -> None:
        """Close the worker's copies of what only the hub uses."""
        self._outbox.close()
        self._life.close()

    def _leave_with_hub(self) -> None:
        try:
            self._life.recv_bytes()
        except (EOFError, OSError):
            pass
        finally:
            os._exit(0)


class HubEnd:
    """What the hub holds of the way to one worker."""

    def __init__(self, context: SpawnContext) -> None:
        self._inbox: Queue[Envelope] = context.Queue(INBOX_CAPACITY)
        self._inbox._ignore_epipe = True  # type: ignore[attr-defined]
        self.outbox, worker_outbox = context.Pipe(duplex=False)
        worker_life, self._life = context.Pipe(duplex=False)
        self.worker_end = WorkerEnd(self._inbox, worker_outbox, worker_life)
        self._received = bytearray()
        for pipe in (self.outbox, self._inbox._writer):  # type: ignore[attr-defined]
            _widen(pipe)

    def started(self) -> None:
        """Close the copies of the worker's ends, so that its death shows as end-of-file."""
        self.worker_end.close_hub_side()

    def send(self, job_id: int, message: Message | Control) -> bool:
        """Queue a message for the worker; false when its queue is full."""
        try:
            self._inbox.put_nowait((job_id, message))
        except (queue.Full, ValueError):
            return False
        return True

    def receive(self) -> list[Envelope]:
        """Return what has come, which may be less than one message; raises EOFError or OSError when the worker is gone.

        One read takes all there is: each read lets other threads run, and under load the hub's thread would wait for
        its turn again after every one.  Nor can a worker that stops in mid-message stop the hub.
        """
        data = os.read(self.outbox.fileno(), PIPE_BYTES)
        if not data:
            raise EOFError
        self._received += data
        envelopes: list[Envelope] = []
        while len(self._received) >= _FRAME.size:
            end = _FRAME.size + _FRAME.unpack_from(self._received)[0]
            if len(self._received) < end:
                break
            envelopes.append(pickle.loads(self._received[_FRAME.size : end]))
            del self._received[:end]
        return envelopes

    def close(self) -> None:
        """Let go of everything; the worker leaves if it still lives."""
        self._life.close()
        self.outbox.close()
        self._inbox.cancel_join_thread()
        # Without a reader the queue's feeder gets a broken pipe instead of waiting for a dead worker for ever.
        self._inbox._reader.close()  # type: ignore[attr-defined]
        self._inbox.close()
