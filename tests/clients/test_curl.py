"""Every command of clients/curl.md does what it says, against a real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audio.codecs import encode
from app.audio.pcm import SPEECH_RATE_HZ
from tests.clients.stand_ins import LOUDSPEAKER, MICROPHONE, install
from tests.serving import ROOT, RunningService, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

GUIDE = (ROOT / "clients" / "curl.md").read_text(encoding="utf-8")
TOKEN = "the-token-of-this-device"


def find_blocks(label: str) -> list[object]:
    """Return the guide's blocks with this label, named after their section and number."""
    found = []
    section = ""
    for match in re.finditer(
        r"^(?:## (?P<section>[^\n]+)|```(?P<label>[^\n]+)\n(?P<text>.*?)^```$)", GUIDE, re.M | re.S
    ):
        section = match["section"] or section
        if match["label"] == label:
            found.append(pytest.param(match["text"], id=f"{section or 'intro'} {len(found) + 1}"))
    return found


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes()) as running:
        yield running


@pytest.fixture(scope="module")
def locked_service() -> Iterator[RunningService]:
    with serve(with_fakes(server={"tokens": {"kitchen": TOKEN}})) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the guide speaks of, where curl takes an error for a failure."""
    question = speech_wav(215)
    (tmp_path / "question.wav").write_bytes(question)
    (tmp_path / "question.mp3").write_bytes(encode(question[44:], SPEECH_RATE_HZ, "mp3")[0])
    (tmp_path / "microphone.wav").write_bytes(question)
    (tmp_path / "microphone.pcm").write_bytes(question[44:])
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    install(tmp_path / "commands", aplay=LOUDSPEAKER, arecord=MICROPHONE)
    return tmp_path


def paste(block: str, desk: Path, url: str) -> str:
    """Run a block as it is, with the service's own address, and return what it printed."""
    environ = {
        **os.environ,
        "PATH": f"{desk / 'commands'}{os.pathsep}{os.environ['PATH']}",
        "CURL_HOME": str(desk),
        "PLAYED": str(desk / "played"),
        "MICROPHONE": str(desk / "microphone.pcm"),
    }
    done = subprocess.run(
        ["sh", "-e", "-c", block.replace("http://127.0.0.1:5000", url)],
        cwd=desk,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "") or "max-time" in block, done.stdout + done.stderr
    return done.stdout


def check_files(block: str, desk: Path) -> None:
    """Raise AssertionError when a sound that the block plays or writes is none."""
    if "aplay" in block:
        played = [path.read_bytes() for path in (desk / "played").iterdir()]
        assert played
        assert all(len(sound) > 1_000 for sound in played)
        assert "format=pcm" in block or all(sound.startswith(b"RIFF") for sound in played)
    for kind, magic in {"wav": b"RIFF", "mp3": (b"ID3", b"\xff"), "ogg": b"OggS"}.items():
        # A file that is played may be empty by now, because the end of a reply has no sound.
        for name in set(re.findall(rf"\w+\.{kind}", block)) - set(re.findall(r"aplay -q (\w+\.wav)", block)):
            assert (desk / name).read_bytes().startswith(magic)


@pytest.mark.parametrize("block", find_blocks("sh runnable"))
def test_a_block_works_when_pasted(block: str, desk: Path, service: RunningService) -> None:
    """The block ends well, requests succeed, what is played and written is sound, and no reply is left in line."""
    printed = paste(block, desk, service.url)
    assert '"error"' not in printed
    check_files(block, desk)
    assert service.get("/audio?timeout=0").status_code == 404


@pytest.mark.parametrize("block", find_blocks("sh runnable token"))
def test_a_block_with_a_token_works_when_pasted(block: str, desk: Path, locked_service: RunningService) -> None:
    """A service that wants a token takes it as the guide says."""
    assert locked_service.post("/upload", data=speech_wav(5)).status_code == 401
    paste(block, desk, locked_service.url)
    check_files(block, desk)


def test_every_route_for_devices_is_shown() -> None:
    """The guide has a command for each of the routes."""
    paths = set(re.findall(r"http://127\.0\.0\.1:5000(/[a-z]+)", GUIDE))
    assert paths == {
        "/upload", "/audio", "/talk", "/say", "/interrupt", "/events", "/turns", "/health", "/ready", "/metrics"
    }  # fmt: skip
