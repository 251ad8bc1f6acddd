"""A service to be measured: gunicorn with a configuration, on a free port of the loopback, until the block ends."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One service that takes part in a comparison."""

    name: str
    config: dict[str, Any]
    "The tree of settings, as in config.json."
    root: Path = ROOT
    "The checkout whose code is served."


@dataclass(frozen=True, slots=True)
class RunningService:
    """Where a service answers, and the process that leads it."""

    port: int
    pid: int


def fakes(**server: Any) -> dict[str, Any]:
    """Return a configuration of scripted backends without delay, so that only the service itself takes time."""
    stage = {"backends": ["fake"], "concurrency": 8, "retries": 0}
    return {**{name: dict(stage) for name in ("stt", "llm", "tts", "analysis")}, "server": server}


@contextmanager
def serve(variant: Variant) -> Iterator[RunningService]:
    """Run a service until the block ends; what stands in the variant's server.host and server.port is not used."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    own = {"host": "127.0.0.1", "port": port, "log_level": "warning", "drain_timeout_s": 0}
    config = {**variant.config, "server": {**variant.config.get("server", {}), **own}}
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder, "config.json"), Path(folder, "log")
        path.write_text(json.dumps(config), encoding="utf-8")
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=variant.root,
                env={**os.environ, "EARSHOT_CONFIG": str(path)},
                stdout=log_file,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(port, process, log)
            yield RunningService(port, process.pid)
        finally:
            _stop(process)
            _show_log(variant.name, log)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_at_s and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise RuntimeError(f"the service did not become ready:\n{log.read_text(encoding='utf-8', errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the service; gunicorn's leading process alone would leave its hub behind when it is killed."""
    with suppress(psutil.NoSuchProcess):
        hubs = psutil.Process(process.pid).children()
        process.terminate()
        _, left = psutil.wait_procs([*hubs, psutil.Process(process.pid)], STOP_TIMEOUT_S)
        for survivor in left:
            print(f"process {survivor.pid} did not stop in {STOP_TIMEOUT_S:g} s and is killed", file=sys.stderr)
            survivor.kill()
    process.wait()


def _show_log(name: str, log: Path) -> None:
    """Say what the service complained about: figures of a service in trouble mean something else."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[:10]:
        print(f"[{name}] {line}", file=sys.stderr)
    if len(lines) > 10:
        print(f"[{name}] … and {len(lines) - 10} lines more", file=sys.stderr)
