"""The page in a real browser without a screen: opened, its microphone fed from a file, its voice recorded."""

from __future__ import annotations

import base64
import json
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: sudo apt-get install chromium")

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
FAKE_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
UNPROCESSED = {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}
SPEECH_RATE_HZ = 16_000
BLOCK_SAMPLES = 128
"""What a browser's audio thread computes at once."""

TAP_MICROPHONE = """
const makeSource = AudioContext.prototype.createMediaStreamSource;
AudioContext.prototype.createMediaStreamSource = function (stream) {
  globalThis.microphoneSource = makeSource.call(this, stream);
  if (globalThis.recorder) microphoneSource.connect(recorder, 0, 1);
  return microphoneSource;
};
"""
RECORDER = """
registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([[voice], [microphone]]) {
    const silence = new Float32Array(128);
    const samples = {voice: (voice ?? silence).slice(), microphone: (microphone ?? silence).slice()};
    this.port.postMessage({at: currentTime, ...samples});
    return true;
  }
});
"""
RECORD = """async (source) => {
  await earshot.audio.whenReady();
  await earshot.player.prepare();
  const {context} = earshot.audio;
  await context.resume();
  await context.audioWorklet.addModule("data:text/javascript," + encodeURIComponent(source));
  globalThis.recorder = new AudioWorkletNode(context, "recorder", {numberOfInputs: 2, numberOfOutputs: 0});
  globalThis.recorded = [];
  recorder.port.onmessage = ({data}) => recorded.push({...data, arrivedAt: performance.now() / 1000});
  earshot.player.output.connect(recorder, 0, 0);
  if (globalThis.microphoneSource) microphoneSource.connect(recorder, 0, 1);
  earshot.live.addEventListener("interrupted", () => { globalThis.interruptedAt = context.currentTime; });
}"""
RECORDED = """() => {
  const pack = (blocks) => {
    const all = new Float32Array(blocks.length * 128);
    blocks.forEach((samples, i) => all.set(samples, i * 128));
    const bytes = new Uint8Array(all.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
  const rate = earshot.audio.context.sampleRate;
  return {
    rate,
    // Reckoned from the end: while an audio thread starts, its clock may leap.
    beginsAt: recorded.at(-1).at - ((recorded.length - 1) * 128) / rate,
    late: recorded.map(({at, arrivedAt}) => arrivedAt - at),
    voice: pack(recorded.map(({voice}) => voice)),
    microphone: pack(recorded.map(({microphone}) => microphone)),
  };
}"""
COLLECT = """(types) => {
  globalThis.told = [];
  for (const type of types) earshot.live.addEventListener(type, ({detail}) => told.push({type, ...detail}));
}"""

Samples = npt.NDArray[np.float64]
OpenPage = Callable[..., Any]


@dataclass(frozen=True)
class Recording:
    """What a page heard and said, on one clock: that of its audio thread."""

    rate: int
    "Samples a second."
    begins_at_s: float
    "The page's audio clock at the first sample."
    voice: Samples
    "What left the page's player."
    microphone: Samples
    "What the page's microphone gave it."
    late_s: Samples
    "For every block of BLOCK_SAMPLES, when the page's own thread was told of it, less the audio clock."

    def sample_at(self, clock_s: float) -> int:
        """Return which sample belongs to this moment of the page's audio clock."""
        return round((clock_s - self.begins_at_s) * self.rate)


@contextmanager
def running_driver() -> Iterator[Any]:
    """Run what drives browsers."""
    with playwright.sync_playwright() as running:
        yield running


@contextmanager
def pages_opened(driver: Any, url: str) -> Iterator[OpenPage]:
    """Give a function that opens the page in a browser of its own; afterwards no script of it may have failed."""
    failures: list[str] = []
    browsers: list[Any] = []

    def open_one(
        microphone: Path | None = None, flags: tuple[str, ...] = FAKE_MICROPHONE, look: Any = None, **settings: Any
    ) -> Any:
        file = (f"--use-file-for-fake-audio-capture={microphone}%noloop",) if microphone else ()
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags, *file])
        browsers.append(browser)
        context = browser.new_context(**(look or {}))
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: failures.append(str(error.error)))
        kept = json.dumps({**UNPROCESSED, **settings})
        keep = f"localStorage.setItem('earshot.settings', {json.dumps(kept)})"
        # A new tab is about:blank first, which has no storage.
        context.add_init_script(f"if (location.protocol !== 'about:') {keep}")
        context.add_init_script(TAP_MICROPHONE)
        page = context.new_page()
        page.goto(url)
        return page

    try:
        yield open_one
    finally:
        for browser in browsers:
            browser.close()
    assert not failures, f"scripts of the page failed: {failures}"


def wait_until_connected(page: Any) -> None:
    """Return when the service has let the page in."""
    page.wait_for_selector("body[data-connection=open]")


def wait_for_phase(page: Any, phase: str) -> None:
    """Return when the page shows this phase of a conversation."""
    page.wait_for_selector(f"body[data-phase={phase}]")


def type_message(page: Any, text: str) -> None:
    """Type a message and send it."""
    page.fill("#text", text)
    page.press("#text", "Enter")


def collect_messages(page: Any, *types: str) -> Callable[[], list[dict[str, Any]]]:
    """Give a function that returns what the service has told the page since now, of these types."""
    page.evaluate(COLLECT, types)
    return lambda: page.evaluate("told")


def write_microphone(path: Path, samples: Samples) -> Path:
    """Write the file which a browser takes for its microphone: samples of SPEECH_RATE_HZ, from -32768 to 32767."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SPEECH_RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@contextmanager
def recorded(page: Any) -> Iterator[Callable[[], Recording]]:
    """Record what leaves the page's voice and what comes from its microphone; gives a function that returns it."""
    page.evaluate(RECORD, RECORDER)

    def unpack(text: str) -> Samples:
        return np.frombuffer(base64.b64decode(text), "<f4").astype(float)

    def read() -> Recording:
        found = page.evaluate(RECORDED)
        return Recording(
            rate=round(found["rate"]),
            begins_at_s=found["beginsAt"],
            voice=unpack(found["voice"]),
            microphone=unpack(found["microphone"]),
            late_s=np.array(found["late"]),
        )

    yield read


def similarity(heard: Samples, sent: Samples) -> float:
    """Return the correlation of what was sent with the piece of what was heard that is most like it."""
    length = len(heard) + len(sent)
    products = np.fft.irfft(np.fft.rfft(heard, length) * np.conj(np.fft.rfft(sent, length)), length)
    at = int(np.argmax(products[: max(1, len(heard) - len(sent) + 1)]))
    piece = heard[at : at + len(sent)]
    return float(piece @ sent[: len(piece)] / (np.linalg.norm(piece) * np.linalg.norm(sent) + 1e-9))


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Change the rate as an independent resampler does."""
    soxr = pytest.importorskip("soxr")
    changed: Samples = soxr.resample(samples, from_hz, to_hz)
    return changed
