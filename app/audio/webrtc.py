"""The voice detector of WebRTC, as pocketsphinx ships it: light, and fooled by steady noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from app.errors import ConfigError

if TYPE_CHECKING:
    import pocketsphinx

STEP_S = 0.01
"""It judges steps of 10, 20 or 30 ms; the shortest gives the most votes to a window."""

STEP_BYTES = round(BYTES_PER_SAMPLE * SPEECH_RATE_HZ * STEP_S)


class WebrtcStream:
    """One microphone: its detector, and what of the window before filled no step."""

    __slots__ = ("rest", "vad")

    def __init__(self, vad: pocketsphinx.Vad) -> None:
        self.vad = vad
        self.rest = b""


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
    return sum(stream.vad.is_speech(step) for step in steps) / n_steps
