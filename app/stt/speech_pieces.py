"""Speech cut out of the silence around it, and long speech cut at its pauses; pure, without a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from app.audio.pcm import SPEECH_RATE_HZ

WINDOW_S = 0.03
WINDOW_BYTES = 2 * round(WINDOW_S * SPEECH_RATE_HZ)
"""What one decision of the voice activity detector looks at."""

_MARGIN = 10
"""Windows kept on both sides, 0.3 s: a recogniser needs some silence, and soft first and last sounds lie there."""
_LONG = 200
"""From 6 s on a piece ends at the next pause, so that no decoding of it holds others up for long."""
_LONGEST = 400
"""After 12 s without a pause a piece ends anyway."""
_PAUSE = 12
"""Unvoiced windows that make a pause, 0.36 s; shorter ones are closed consonants."""
_STEADY_DB = 6.0
"""Hiss and hum vary by 1 to 3 dB between windows; the recordings of speech that we know by 20 and more."""


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """Speech with its margins of silence."""

    pcm16: bytes
    is_over: bool
    "False while more of this piece may come."


@dataclass(slots=True)
class _Piece:
    """Windows held back until it is known whether they belong to speech."""

    windows: list[bytes] = field(default_factory=list)
    first_voiced: int | None = None
    last_voiced: int = 0
    n_voiced: int = 0
    looked_at: int = 0
    "How many windows there were when it was last looked at."

    def add(self, window: bytes, is_voiced: bool) -> None:
        self.windows.append(window)
        if is_voiced:
            self.last_voiced = len(self.windows) - 1
            self.first_voiced = self.last_voiced if self.first_voiced is None else self.first_voiced
            self.n_voiced += 1
        elif self.first_voiced is None:
            del self.windows[:-_MARGIN]

    def is_over(self) -> bool:
        if self.first_voiced is None:
            return False
        n_windows = len(self.windows) - self.first_voiced
        return n_windows >= _LONGEST or (n_windows >= _LONG and len(self.windows) - 1 - self.last_voiced >= _PAUSE)

    def is_due(self, every: float, min_voiced: float) -> bool:
        """Say whether there is new voice in enough new windows for another look."""
        has_new_voice = self.n_voiced >= min_voiced and self.last_voiced >= self.looked_at
        return has_new_voice and len(self.windows) - self.looked_at >= every

    def speech(self, min_voiced: float) -> Iterator[bytes]:
        """Yield the speech with its margins, when it is speech."""
        self.looked_at = len(self.windows)
        if self.first_voiced is not None and self.n_voiced >= min_voiced and not is_steady(self.windows):
            start = max(0, self.first_voiced - _MARGIN)
            yield b"".join(self.windows[start : self.last_voiced + 1 + _MARGIN])

    def successor(self) -> _Piece:
        """Return the next piece; its first windows are the last of this one where they are silent."""
        n_silent = len(self.windows) - 1 - self.last_voiced
        return _Piece(self.windows[-min(n_silent, _MARGIN) :] if n_silent else [])


def cut_speech(
    chunks: Iterable[bytes], is_voiced: Callable[[bytes], bool], min_speech_s: float = 0.18
) -> Iterator[bytes]:
    """Yield the speech in `chunks` without the silence around it, as soon as a piece of it is over.

    chunks: PCM16 at SPEECH_RATE_HZ, any length.  is_voiced: the voice activity detector, for WINDOW_BYTES of PCM16.
    min_speech_s: less voice than that is a click.  Up to 6 s stay in one piece, whatever pauses are in it.
    """
    for piece in follow_speech(chunks, is_voiced, min_speech_s):
        yield piece.pcm16


def follow_speech(
    chunks: Iterable[bytes], is_voiced: Callable[[bytes], bool], min_speech_s: float, look_every_s: float = 0.0
) -> Iterator[SpeechPiece]:
    """Yield what `cut_speech` does, and before each piece is over what there is of it so far.

    look_every_s: after so much more sound with some voice in it; 0 for never.
    """
    min_voiced, every = min_speech_s / WINDOW_S, look_every_s / WINDOW_S
    piece = _Piece()
    for window in _windows(chunks):
        piece.add(window, is_voiced(window))
        if piece.is_over():
            yield from (SpeechPiece(pcm16, is_over=True) for pcm16 in piece.speech(min_voiced))
            piece = piece.successor()
        elif every and piece.is_due(every, max(1.0, min_voiced)):
            yield from (SpeechPiece(pcm16, is_over=False) for pcm16 in piece.speech(min_voiced))
    yield from (SpeechPiece(pcm16, is_over=True) for pcm16 in piece.speech(min_voiced))


def is_steady(windows: Iterable[bytes]) -> bool:
    """Say whether the sound hardly changes its level, as hiss and hum do and speech does not."""
    samples = np.frombuffer(b"".join(windows), "<i2").reshape(-1, WINDOW_BYTES // 2).astype(np.float32)
    levels_db = 20 * np.log10(samples.std(axis=1) + 1e-3)
    quiet, loud = np.percentile(levels_db, (5, 95))
    return bool(loud - quiet < _STEADY_DB)


def _windows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield whole windows; the last one is filled up with silence."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole = len(rest) - len(rest) % WINDOW_BYTES
        for start in range(0, whole, WINDOW_BYTES):
            yield rest[start : start + WINDOW_BYTES]
        rest = rest[whole:]
    if len(rest) > 1:
        yield rest.ljust(WINDOW_BYTES, b"\0")
