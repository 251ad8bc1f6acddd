"""Each measurement runs from its command line to its figures, with a service of its own."""

import json
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from app.errors import BackendUnavailable
from app.tts.flite import FliteTts

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.process


def run(*arguments: str) -> dict:
    """Run a measurement and return the medians of its only variant."""
    command = [sys.executable, "-m", *arguments, "--rounds", "1", "--json", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["first"]["median"]


def test_turns_are_all_answered():
    """bench.turns asks what it was told to ask and shows where the time went."""
    figures = run("bench.turns", "--rate", "5", "--seconds", "2", "--devices", "3")
    assert figures["turns_answered"] == figures["turns_asked"] > 0
    assert {"latency_p99_ms", "hub_cpu_percent", "tts_rss_mb", "hop_outside_ms"} <= figures.keys()


def test_waiting_devices_all_hear_their_reply():
    """bench.waiting finds out when each segment was ready."""
    figures = run("bench.waiting", "--devices", "4", "--seconds", "3", "--every", "0.5", "1")
    assert figures["turns_asked"] > figures["turns_unanswered"] == 0
    assert figures["deliveries_looked_up"] > 0


def test_recordings_are_answered(tmp_path):
    """bench.answer plays a recording as it is spoken and times its answer."""
    with wave.open(str(tmp_path / "question.wav"), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16_000)
        wav.writeframes(b"\x00\x10\x00\xf0" * 2_000)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({stage: {"backends": ["fake"]} for stage in ("stt", "llm", "tts", "analysis")}))
    options = ["--repeat", "2", "--config", str(config), "--paced"]
    figures = run("bench.answer", str(tmp_path / "question.wav"), *options)
    assert figures["question.first_byte_max_ms"] >= figures["question.first_byte_ms"] > 0


def test_questions_at_live_microphones_are_answered():
    """bench.live knows where each question ends, and sees each answered."""
    try:
        FliteTts(FliteTts.Config()).load()
    except BackendUnavailable as error:
        pytest.skip(error.message)
    figures = run("bench.live", "--microphones", "3", "--seconds", "3", "--every", "4", "--detector", "webrtc")
    assert figures["turns_asked"] > figures["turns_unanswered"] == 0
    assert figures["reaction_p95_ms"] > 0
    assert {"cpu_per_microphone_percent", "rss_talking_kb_per_session", "client_late_p99_ms"} <= figures.keys()
