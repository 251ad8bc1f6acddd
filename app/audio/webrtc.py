"""The voice detector of WebRTC, as pocketsphinx ships it: light, and deceived by noise that is not steady."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.audio.pcm import BYTES_PER_SAMPLE, SILENCE_DBFS, SPEECH_RATE_HZ, level_dbfs
from app.audio.windows import WINDOW_MS
from app.errors import ConfigError

if TYPE_CHECKING:
    import pocketsphinx

STEP_S = 0.01
"""It judges steps of 10, 20 or 30 ms; the shortest gives the most votes to a window."""

STEP_BYTES = round(BYTES_PER_SAMPLE * SPEECH_RATE_HZ * STEP_S)


FLOOR_MARGIN_DB = 2.0
"""Speech is so much louder than the room: steady noise, which WebRTC takes for a voice when it is loud, varies less."""

FLOOR_RISE_DB = 1.5 * WINDOW_MS / 1000
"""How much the room may become louder within a window: slowly, so that no long vowel is taken for the room."""


class WebrtcStream:
    """One microphone: its detector, what of the window before filled no step, and how loud the room is."""

    __slots__ = ("floor_dbfs", "rest", "vad")

    def __init__(self, vad: pocketsphinx.Vad) -> None:
        self.vad = vad
        self.rest = b""
        self.floor_dbfs = math.inf


class WebrtcDetector:
    """Says yes or no every 10 ms; the share of yes in a window stands for its probability."""

    name = "webrtc"

    def __init__(self) -> None:
        try:
            from pocketsphinx import Vad
        except ImportError as missing:
            raise ConfigError(
                f"pocketsphinx cannot be loaded ({missing}), and the voice detector webrtc needs it. "
                "Install it: pip install pocketsphinx"
            ) from missing
        self._make_vad = Vad

    def new_stream(self) -> WebrtcStream:
        """Return a detector of its own for a microphone: it learns the noise there."""
        return WebrtcStream(self._make_vad(self._make_vad.STRICT, SPEECH_RATE_HZ, STEP_S))

    def probabilities(self, streams: Sequence[WebrtcStream], windows: Sequence[bytes]) -> Sequence[float]:
        """Judge one window of each stream."""
        return [_judge(stream, window) for stream, window in zip(streams, windows, strict=True)]


def _judge(stream: WebrtcStream, window: bytes) -> float:
    heard = stream.rest + window
    n_steps = len(heard) // STEP_BYTES
    stream.rest = heard[n_steps * STEP_BYTES :]
    steps = [heard[i * STEP_BYTES : (i + 1) * STEP_BYTES] for i in range(n_steps)]
    share = sum(stream.vad.is_speech(step) for step in steps) / n_steps
    return share if _is_above_floor(stream, window) else 0.0


def _is_above_floor(stream: WebrtcStream, window: bytes) -> bool:
    """Follow the loudness of the room: down at once, up slowly."""
    dbfs = max(level_dbfs(window), SILENCE_DBFS)
    stream.floor_dbfs = min(dbfs, stream.floor_dbfs + FLOOR_RISE_DB)
    return dbfs > stream.floor_dbfs + FLOOR_MARGIN_DB
