"""Servers other than our own worker serve the whole HTTP dialect too, and what cannot work is refused at start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.serving import ROOT, fetch_reply, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    "server",
    [
        ("gunicorn", "-k", "gthread", "--threads", "16", "wsgi:app"),
        ("flask", "--app", "wsgi", "run", "--port", "{port}"),
    ],
    ids=["gthread", "flask"],
)
def test_the_dialect_needs_no_server_of_ours(server: tuple[str, ...]) -> None:
    """Whole and chunked uploads are answered, and no worker stays behind."""
    with serve(with_fakes(), server=server) as service:
        body = speech_wav(5, seconds=1.0)
        service.post("/upload", data=body)
        assert len(fetch_reply(service)) == 2
        service.post("/upload", data=(body[i : i + 3_200] for i in range(0, len(body), 3_200)))
        assert len(fetch_reply(service)) == 2
        assert service.post("/talk", data=body).content.startswith(b"RIFF")
        children = psutil.Process(service.process.pid).children(recursive=True)
        service.process.terminate()
        service.process.wait(20)
    assert psutil.wait_procs(children, timeout=5)[1] == []


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ({"tts": {"backends": ["flight"]}}, (), "flite"),
        ({"server": {"prot": 5000}}, (), "port"),
        ({}, ("--workers", "2"), "one hub process"),
        ({}, ("--preload",), "one hub process"),
    ],
)
def test_what_cannot_work_is_refused_at_start(
    tmp_path: Path, config: dict[str, object], arguments: tuple[str, ...], said: str
) -> None:
    """A wrong configuration ends the start with status 2 and a line that says what to change."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", *arguments, "--bind", "127.0.0.1:0", "wsgi:app"],
        cwd=ROOT,
        env={**os.environ, "EARSHOT_CONFIG": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
