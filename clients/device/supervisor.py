"""Keeps a stream open: notices when it is broken and opens it again, and never waits for a driver that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from clients.device.health import Backoff
from clients.service import Trouble

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
HANGS_AFTER_S = 15.0
MAX_HANGING = 3
"""So many calls that never came back, and the process should begin anew."""


class OpenStream(Protocol):
    """What is supervised."""

    name: str
    sample_rate: int
    channels: int

    def start(self) -> None:
        """Let sound flow."""

    @property
    def is_active(self) -> bool:
        """Whether the driver believes that sound flows."""

    def close(self) -> None:
        """Give the device back."""


class Hanging(Exception):
    """Too many calls of the driver never came back."""


class Supervisor:
    """One stream over all the times that it is opened.  `check` is called again and again by one thread."""

    def __init__(
        self,
        what: str,
        open_stream: Callable[[], OpenStream],
        find_fault: Callable[[bool, float], str | None],
        on_opened: Callable[[OpenStream, float], object],
        on_lost: Callable[[str], object],
        tell: Callable[[str], object],
    ) -> None:
        """find_fault: from what the driver says and the time to what is wrong; `silent` is no loss.

        on_opened: called before sound flows.  on_lost: called once for each time that it is away.
        """
        self._what = what
        self._open_stream = open_stream
        self._find_fault = find_fault
        self._on_opened = on_opened
        self._on_lost = on_lost
        self._tell = tell
        self.stream: OpenStream | None = None
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._due_s = 0.0
        self._opened_s = 0.0
        self._trouble = ""
        self._is_away = True
        "What everybody knows: at the start, and since it was told."
        self._told = ""
        "What was opened last; empty when it should be told again."
        self._n_hanging = 0
        self.n_restarts = 0

    def check(self, now_s: float) -> None:
        """Do what is due; raises Hanging when only a new process can help."""
        if self.stream is None:
            if now_s >= self._due_s:
                self._open(now_s)
            return
        fault = self._find_fault(self.stream.is_active, now_s)
        if fault is None:
            if now_s - self._opened_s > LONGEST_WAIT_S:
                # Only what stays open has worked: some devices open well, and give nothing.
                self._backoff.worked()
            return
        if fault == "silent":
            self._tell(f"the {self._what} gives nothing but zeros: it may be muted; it is opened again to make sure")
        else:
            self._lose(fault)
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """Close the stream; it is opened again at once the first time, later after a wait."""
        self._told = ""
        if self.stream is None:
            self._due_s = now_s
            return
        stream, self.stream = self.stream, None
        self.n_restarts += 1
        self._due_s = now_s + (self._backoff.failed() if now_s - self._opened_s < LONGEST_WAIT_S else 0.0)
        self._close(stream)

    def close(self) -> None:
        """Give the device back; the next `check` opens it again, which nobody needs to know."""
        if self.stream is not None:
            stream, self.stream = self.stream, None
            self._close(stream)

    def _lose(self, why: str) -> None:
        self._is_away = True
        self._on_lost(why)

    def _close(self, stream: OpenStream) -> None:
        try:
            self._in_time(stream.close)
        except Trouble as error:
            self._tell(str(error))

    def _open(self, now_s: float) -> None:
        try:
            stream = self._in_time(self._open_stream, lambda late: late.close())
            try:
                self._on_opened(stream, now_s)
                self._in_time(stream.start)
            except Trouble:
                self._close(stream)
                raise
        except Trouble as error:
            self._due_s = now_s + self._backoff.failed()
            self._told = ""
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._tell(str(error))
            if not self._is_away:
                # It was closed for another reason than a fault, and is a loss only now.
                self._lose(str(error))
            return
        self._trouble = ""
        self._is_away = False
        self._opened_s = now_s
        self.stream = stream
        line = f"{self._what}: {stream.name}, {stream.sample_rate} Hz, {stream.channels} channel(s)"
        if line != self._told:
            self._told = line
            self._tell(line)

    def _in_time(self, call: Callable[[], Any], undo: Callable[[Any], object] = lambda _late: None) -> Any:
        """Return what the call returns; one that hangs is left behind, and raises Trouble.

        undo: what to do with that which comes too late.
        """
        asked = _Call(f"open-{self._what}", call, undo)
        asked.start()
        asked.join(HANGS_AFTER_S)
        if asked.leave():
            self._n_hanging += 1
            if self._n_hanging >= MAX_HANGING:
                raise Hanging(f"the driver of the {self._what} hangs")
            raise Trouble(f"the driver of the {self._what} hangs; it is tried again")
        if asked.error is not None:
            raise asked.error
        return asked.value


class _Call(threading.Thread):
    """A call in a thread of its own, where it may hang."""

    def __init__(self, name: str, call: Callable[[], Any], undo: Callable[[Any], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._call = call
        self._undo = undo
        self._lock = threading.Lock()
        self._is_done = self._is_left = False
        self.value: Any = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Make the call."""
        try:
            self.value = self._call()
        except Exception as error:
            # Raised again in the thread that asked.
            self.error = error
        with self._lock:
            self._is_done = True
        if self._is_left and self.error is None:
            self._undo(self.value)

    def leave(self) -> bool:
        """Return whether it hangs; what it still returns is undone."""
        with self._lock:
            self._is_left = not self._is_done
        return self._is_left
