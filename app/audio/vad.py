"""Voice activity detection: how likely each window of a microphone is speech."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from app.errors import ConfigError

log = logging.getLogger(__name__)


class VoiceDetector(Protocol):
    """Judges the windows of many microphones; one detector serves them all."""

    name: str
    """Name in the setting `listening.vad`."""

    def new_stream(self) -> Any:
        """Return what is remembered of one microphone; it is given back by being dropped."""

    def probabilities(self, streams: Sequence[Any], windows: Sequence[bytes]) -> Sequence[float]:
        """Return how likely each window is speech, 0 to 1, and remember it in its stream.

        One window of `WINDOW_BYTES` for each of several different streams, all judged at once.
        """


def load_detector(name: str) -> VoiceDetector:
    """Load the detector of the setting `listening.vad`: "silero", "webrtc", or "auto" for the best that is installed.

    Raises ConfigError that says what to install where the named one is missing.
    """
    if name == "auto":
        try:
            return _load_silero()
        except ConfigError as missing:
            log.info("Voices are detected with webrtc: %s", missing.message)
            return _load_webrtc()
    if name == "silero":
        return _load_silero()
    if name == "webrtc":
        return _load_webrtc()
    raise ConfigError(f"listening.vad is {name!r}; it may be auto, silero or webrtc.")


def _load_silero() -> VoiceDetector:
    from app.audio.silero import SileroDetector

    return SileroDetector()


def _load_webrtc() -> VoiceDetector:
    from app.audio.webrtc import WebrtcDetector

    return WebrtcDetector()
