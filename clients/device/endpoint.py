"""When an utterance begins and ends: speech or not for every 20 ms, then counted.  Pure, without a clock."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

import numpy as np

from clients.device.schema import SettingsError
from clients.device.settings import RecordingSettings
from clients.device.windows import SAMPLE_RATE

FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
AFTER_WAKE_MS = 240
"""The end of the wake word itself is no question: speech counts only behind it, however loud it is."""

End = Literal["silence", "no-speech", "too-long"]


class Vad(Protocol):
    """How sure it is that sound is speech."""

    def feed(self, window: bytes, learns: bool) -> list[float]:
        """Return a probability for every 20 ms of a window.

        learns: whether the sound may be taken for the noise of the room.
        """


class EnergyVad:
    """Compares the level with the noise of the room, which it follows: down at once, up slowly."""

    MARGIN_DB = 9.0
    "Above the noise by so much: as likely speech as not."
    SLOPE_DB = 2.0
    QUIETEST_DBFS = -62.0
    "No voice is quieter."
    RISE_DB = 0.12
    "For every window: 1.5 dB in a second."

    def __init__(self) -> None:
        self._noise_dbfs: float | None = None

    def feed(self, window: bytes, learns: bool) -> list[float]:
        """Return a probability for every 20 ms of a window."""
        frames = np.frombuffer(window, "<i2").astype(np.float32).reshape(-1, FRAME_SAMPLES)
        power = np.einsum("ij,ij->i", frames, frames) / (FRAME_SAMPLES * 32768.0**2)
        levels = [10 * math.log10(p) if p > 1e-10 else -100.0 for p in power.tolist()]
        self._follow(min(levels), learns)
        assert self._noise_dbfs is not None
        edge = max(self._noise_dbfs + self.MARGIN_DB, self.QUIETEST_DBFS)
        return [1 / (1 + math.exp(min(50.0, (edge - level) / self.SLOPE_DB))) for level in levels]

    def _follow(self, level: float, learns: bool) -> None:
        noise = self._noise_dbfs
        if noise is None:
            # Who speaks at once should not be taken for noise.
            self._noise_dbfs = min(level, -50.0)
        elif level < noise:
            self._noise_dbfs = 0.5 * (noise + level)
        elif learns:
            self._noise_dbfs = min(level, noise + self.RISE_DB)


class WebRtcVad:
    """The voice activity detector of WebRTC: cheap, and easily taken in by noise."""

    def __init__(self) -> None:
        try:
            import webrtcvad
        except ImportError:
            raise SettingsError(
                "recording.vad: webrtc wants `pip install webrtcvad-wheels`; energy needs nothing"
            ) from None
        self._vad: Any = webrtcvad.Vad(3)

    def feed(self, window: bytes, learns: bool) -> list[float]:
        """Return 0 or 1 for every 20 ms of a window."""
        size = 2 * FRAME_SAMPLES
        return [float(self._vad.is_speech(window[i : i + size], SAMPLE_RATE)) for i in range(0, len(window), size)]


def make_vad(name: str) -> Vad:
    """Return the detector of this name; raises SettingsError."""
    return WebRtcVad() if name == "webrtc" else EnergyVad()


class Endpointer:
    """Counts speech and silence of one utterance.

    Speech begins with `start_ms` of it, counted as in a leaky bucket: a gap takes away what it lasts.  It ends with
    `silence_ms` of silence, in which less than `start_ms` of speech does not count.
    """

    def __init__(self, settings: RecordingSettings, after_wake: bool, has_started: bool = False) -> None:
        self._settings = settings
        self._deaf_ms = AFTER_WAKE_MS if after_wake else 0
        self._speech_ms = 0.0
        self._silence_ms = 0.0
        self._total_ms = 0.0
        self.has_started = has_started

    def feed(self, probabilities: list[float]) -> End | None:
        """Take what the detector says of a window; return why the utterance is over, when it is."""
        for probability in probabilities:
            self._total_ms += FRAME_MS
            if self._total_ms <= self._deaf_ms:
                continue
            self._count(probability >= self._settings.threshold)
            if self.has_started and self._silence_ms >= self._settings.silence_ms:
                return "silence"
        if not self.has_started and self._total_ms >= self._settings.no_speech_s * 1000:
            return "no-speech"
        if self._total_ms >= self._settings.max_utterance_s * 1000:
            return "too-long"
        return None

    def _count(self, is_speech: bool) -> None:
        self._speech_ms = self._speech_ms + FRAME_MS if is_speech else max(0.0, self._speech_ms - FRAME_MS)
        if not self.has_started:
            self.has_started = self._speech_ms >= self._settings.start_ms
            return
        if is_speech and self._speech_ms >= self._settings.start_ms:
            self._silence_ms = 0.0
            # What is counted is the newest burst.
            self._speech_ms = self._settings.start_ms
        else:
            self._silence_ms += FRAME_MS
