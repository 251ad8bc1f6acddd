"""What the speaker plays: replies and tones, asked for by the audio thread, which never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from clients.device.settings import SpeakerSettings
from clients.device.steps import Event, PlayingBegan, PlayingEnded
from clients.device.tones import make_tones

OWN_VOICE_PIECES = 64


class Player:
    """A line of PCM16 at the speaker's rate.

    `fill` runs in the audio thread; the others in any thread.  Nothing is locked: pieces go through deques, whose steps
    cannot be divided.
    """

    def __init__(self, settings: SpeakerSettings, sample_rate: int, post: Callable[[Event], object]) -> None:
        self.sample_rate = sample_rate
        self._post = post
        self._reply: deque[bytes] = deque()
        self._tones: deque[bytes] = deque()
        self._is_playing = False
        self.own_voice: deque[bytes] = deque(maxlen=OWN_VOICE_PIECES)
        "What of replies was handed to the speaker lately, for the echo guard."
        self.configure(settings)

    def configure(self, settings: SpeakerSettings) -> None:
        """Take other volumes from now on."""
        self._volume = settings.volume
        self._made_tones = make_tones(self.sample_rate, settings.tone_volume)

    def change_rate(self, sample_rate: int, settings: SpeakerSettings) -> None:
        """Play at another rate from now on; what is in line at the old one is dropped."""
        if sample_rate != self.sample_rate:
            self.stop()
            self.sample_rate = sample_rate
            self.configure(settings)

    def play(self, pcm16: bytes) -> None:
        """Put sound of a reply in line."""
        if self._volume != 1.0:
            louder = np.frombuffer(pcm16, "<i2").astype(np.float32) * self._volume
            pcm16 = np.clip(np.rint(louder), -32768, 32767).astype("<i2").tobytes()
        self._reply.append(pcm16)
        if not self._is_playing:
            # Said here already, so that the end of a reply is not known before its beginning.
            self._is_playing = True
            self._post(PlayingBegan())

    def tone(self, name: str) -> None:
        """Play a tone now; what is playing goes on behind it."""
        self._tones.append(self._made_tones[name])

    def stop(self) -> None:
        """Drop the reply that is playing and all that is in line."""
        while self._reply:
            try:
                self._reply.popleft()
            except IndexError:
                break

    def give_up(self) -> None:
        """Nobody asks for sound any more: drop tones too, which would all come at once, and let the reply be over."""
        self.stop()
        self._tones.clear()
        if self._is_playing:
            self._is_playing = False
            self._post(PlayingEnded())

    @property
    def has_tones(self) -> bool:
        """Whether a tone is playing or in line."""
        return bool(self._tones)

    @property
    def waiting_s(self) -> float:
        """How much of replies is in line."""
        return sum(len(piece) for piece in list(self._reply)) / (2 * self.sample_rate)

    def fill(self, n_frames: int) -> bytes:
        """Return the next sound for the speaker, with silence where there is none."""
        n_bytes = 2 * n_frames
        if self._tones:
            return _take(self._tones, n_bytes).ljust(n_bytes, b"\0")
        reply = _take(self._reply, n_bytes)
        if bool(reply) != self._is_playing:
            self._is_playing = bool(reply)
            self._post(PlayingBegan() if reply else PlayingEnded())
        if reply:
            self.own_voice.append(reply)
        return reply.ljust(n_bytes, b"\0")


def _take(line: deque[bytes], n_bytes: int) -> bytes:
    """Take up to so many bytes from the front of a line; somebody else may empty it meanwhile."""
    taken = []
    while n_bytes > 0:
        try:
            piece = line.popleft()
        except IndexError:
            break
        taken.append(piece[:n_bytes])
        if len(piece) > n_bytes:
            line.appendleft(piece[n_bytes:])
        n_bytes -= len(taken[-1])
    return b"".join(taken)
