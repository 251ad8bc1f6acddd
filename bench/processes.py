"""What processes use: CPU over a span of time, and memory."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

import psutil

MEMORY_EVERY_S = 0.5


class Watch:
    """Measures the processes of a service, its client, and how busy the rest of the machine was."""

    def __init__(self, service_pid: int, client_pid: int) -> None:
        self._processes = {**service_processes(service_pid), "client": psutil.Process(client_pid)}
        self._peak_bytes = dict.fromkeys(self._processes, 0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow_memory, daemon=True)
        self._started_at_s = 0.0
        self._used_s: dict[str, float] = {}

    def start(self) -> None:
        """Begin the span that is measured."""
        self._started_at_s, self._used_s = time.monotonic(), self._cpu_s()
        self._thread.start()

    def finish(self) -> dict[str, float]:
        """End the span and return its figures: CPU in % of one core, memory in MB (1,000,000 bytes)."""
        span_s, used_s = time.monotonic() - self._started_at_s, self._cpu_s()
        self._done.set()
        self._thread.join()
        percent = {name: 100 * (used_s[name] - self._used_s[name]) / span_s for name in used_s}
        ours = sum(percent[name] for name in self._processes)
        figures = {f"{name}_cpu_percent": percent[name] for name in self._processes}
        figures["others_cpu_percent"] = max(0.0, percent["machine"] - ours)
        for name, process in self._processes.items():
            figures[f"{name}_rss_mb"] = self._peak_bytes[name] / 1e6
            figures[f"{name}_uss_mb"] = process.memory_full_info().uss / 1e6
        return figures

    def _cpu_s(self) -> dict[str, float]:
        used = {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}
        machine = psutil.cpu_times()
        return {**used, "machine": sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)}

    def _follow_memory(self) -> None:
        while True:
            for name, process in self._processes.items():
                with suppress(psutil.NoSuchProcess):
                    self._peak_bytes[name] = max(self._peak_bytes[name], process.memory_info().rss)
            if self._done.wait(MEMORY_EVERY_S):
                return


def service_processes(pid: int) -> dict[str, psutil.Process]:
    """Return the hub and the stage workers of a service by name; workers of one stage are counted: tts, tts2."""
    hub = hub_process(pid)
    found = {"hub": hub}
    for child in hub.children():
        # A worker names its process itself.
        stage = child.name().removeprefix("voice-")
        if stage == child.name():
            continue
        number = sum(name.rstrip("0123456789") == stage for name in found) + 1
        found[stage if number == 1 else f"{stage}{number}"] = child
    return found


def hub_process(pid: int) -> psutil.Process:
    """Return the hub: the one child of gunicorn's leading process."""
    return psutil.Process(pid).children()[0]


def pin(process: psutil.Process, core: int) -> None:
    """Let a process run on one core only, with all the threads it has; new ones inherit it."""
    for thread in process.threads():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread.id, {core})
