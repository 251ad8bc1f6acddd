"""Failure switches of the fake backends, which ship with the package because a spawned worker sees no monkeypatch."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Literal

from app.errors import BackendRejected, BackendUnavailable


@dataclass(frozen=True)
class FakeConfig:
    """What every fake can be told."""

    delay_s: float = 0.0
    "Waited before each item that is given, in seconds."
    fail: Literal["", "error", "rejected", "hang", "crash"] = ""
    "How it fails: an error that may pass, one that will not, silence for ever, or the death of the worker."
    fail_on: str = ""
    "Fails only at work whose text contains this; empty for all work."

    def pause(self) -> None:
        """Take as long as the script says."""
        if self.delay_s > 0:
            threading.Event().wait(self.delay_s)

    def fail_if_told(self, text: str) -> None:
        """Fail as the script says when it is about this text."""
        if not self.fail or self.fail_on not in text:
            return
        if self.fail == "error":
            raise BackendUnavailable("the fake backend was told to fail")
        if self.fail == "rejected":
            raise BackendRejected("the fake backend was told to refuse")
        if self.fail == "hang":
            threading.Event().wait()
        os._exit(9)
