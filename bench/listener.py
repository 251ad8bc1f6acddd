"""How much the device client takes while nothing happens, and how quick it is when something does.

    python -m bench.listener                     what a quiet room costs, with one wake word, for 30 s
    python -m bench.listener --url http://127.0.0.1:5000 --rounds 5

A file is heard in real time instead of a microphone, so the driver's own share is not in the figures.  Without --url a
server inside this process takes the uploads.
"""

from __future__ import annotations

import argparse
import logging
import math
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from bench.figures import Budget, Figures, report
from clients.device.device import Device
from clients.device.schema import build
from clients.device.settings import Settings
from clients.device.windows import SAMPLE_RATE, WINDOW_S

BUDGETS = [Budget("idle_cpu_percent", 5.0), Budget("wake_to_recording_ms", 100.0), Budget("end_to_uploaded_ms", 100.0)]
WORD_S, SPEECH_S, ROOM_S = 0.3, 1.5, 2.0


class Microphone:
    """What a device wants to know of its stream."""

    name, sample_rate, channels, is_active = "bench", SAMPLE_RATE, 1, True

    def start(self) -> None:
        """Nothing flows by itself."""

    def close(self) -> None:
        """Nothing is held."""


def feed(device: Device, samples: np.ndarray) -> None:
    """Let the device hear samples in real time, as a driver gives them."""
    began_s = time.monotonic()
    size = round(WINDOW_S * SAMPLE_RATE)
    for number, at in enumerate(range(0, len(samples) - size + 1, size)):
        time.sleep(max(0.0, began_s + (number + 1) * WINDOW_S - time.monotonic()))
        device.hear(samples[at : at + size].astype("<i2").tobytes())


def room(seconds: float) -> np.ndarray:
    """Return the noise of a quiet room."""
    return np.random.default_rng(0).normal(0, 8, round(seconds * SAMPLE_RATE))


def measure_idle(seconds: float, model: dict[str, str], url: str) -> Figures:
    """Return the share of one core that listening takes, with everything running."""
    device = make_device(model, url)
    feed(device, room(2.0))
    began_s, cpu_s = time.monotonic(), time.process_time()
    feed(device, room(seconds))
    share = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    device.stop()
    return {"idle_cpu_percent": 100 * share, "chunks_lost": float(device.inbox.n_lost)}


def measure_question(device: Device, word: np.ndarray, speech: np.ndarray) -> Figures:
    """Return how long the steps of one question take, from the chunk that causes them."""
    moments = device.measured
    moments.woken_s = moments.recording_s = moments.finished_s = device.uplink.last_upload_s = math.nan
    feed(device, np.concatenate([room(ROOM_S), word, room(0.2), speech, room(ROOM_S)]))
    deadline_s = time.monotonic() + 10
    while math.isnan(device.uplink.last_upload_s) and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return {
        "wake_to_recording_ms": 1000 * (moments.recording_s - moments.woken_s),
        "end_to_uploaded_ms": 1000 * (device.uplink.last_upload_s - moments.finished_s),
    }


def make_device(model: dict[str, str], url: str) -> Device:
    """Return a device that listens."""
    tree = {"server": {"url": url, "session": "bench"}, "wake": {"models": [model]}, "heartbeat": {"enabled": False}}
    device = Device(build(Settings, tree))
    device.microphone_opened(Microphone(), time.monotonic())
    device.start()
    return device


def read_wav(path: Path) -> np.ndarray:
    """Return a WAV of 16 kHz, mono."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 1), f"{path} is not 16 kHz mono"
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)


class TakingService(BaseHTTPRequestHandler):
    """Takes every upload and has nothing to say."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read a body and answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self._answer(200, b'{"turn": "1"}')

    def do_GET(self) -> None:
        """Say that there is nothing, after a while."""
        time.sleep(5)
        self._answer(404, b'{"error": {"code": "nothing-yet", "message": "nothing"}}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of a service; without it, uploads go to a server in this process")
    parser.add_argument("--seconds", type=float, default=30.0, help="of idle listening (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="questions that are asked (default: %(default)s)")
    parser.add_argument("--word", type=Path, help="WAV of okay nabu; without it, a whistle and the scripted engine")
    parser.add_argument("--speech", type=Path, help="WAV of a question; without it, noise")
    parser.add_argument("--json", help="write the figures there; - for the standard output only")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    url = options.url
    if url is None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), TakingService)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
    idle = measure_idle(options.seconds, {"name": "okay_nabu"}, url)
    if options.word is not None:
        model, word = {"name": "okay_nabu"}, read_wav(options.word)
    else:
        at_s = np.arange(round(WORD_S * SAMPLE_RATE)) / SAMPLE_RATE
        model, word = {"name": "w", "engine": "scripted"}, 8000 * np.sin(2 * np.pi * 2000 * at_s)
    speech = np.random.default_rng(1).normal(0, 3000, round(SPEECH_S * SAMPLE_RATE))
    if options.speech is not None:
        speech = read_wav(options.speech)
    device = make_device(model, url)
    asked = [measure_question(device, word, speech) for _ in range(options.rounds)]
    device.stop()
    report({"listener": [{**idle, **each} for each in asked]}, BUDGETS, options.json)


if __name__ == "__main__":
    main()
