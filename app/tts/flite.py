"""English speech by flite (Debian's libflite1), in this process, offline."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from app.errors import BackendRejected, BackendUnavailable, ConfigError
from app.tts import flite_library
from app.tts.backend import Speech
from app.tts.flite_library import LOCK, SAMPLE_RATE_HZ, FliteLibrary, open_library
from app.tts.push_stream import Sink, pull_audio
from app.tts.silence import SilenceTrimmer

_PIECE_CHARS = 240
"""flite plans a whole text before its first sample: longer ones are spoken in pieces, so that the wait stays short."""

_SPELLED_OUT = str.maketrans(
    {
        "’": "'", "‘": "'", "“": '"', "”": '"', "–": ", ", "—": ", ", "…": ".", "ß": "ss", "æ": "ae", "Æ": "Ae",
        "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "þ": "th",
        "ı": "i", "°": " degrees ", "€": " euros ", "£": " pounds ", "¥": " yen ", "×": " times ", "÷": " divided by ",
        "−": " minus ", "½": " and a half ", "µ": "micro", "≈": " about ",
    }
)  # fmt: skip

_INVISIBLE = ("Mn", "Me", "Cf")
"""Accents, soft hyphens, joiners: to be dropped from inside a word without splitting it."""


class FliteTts:
    """Speaks English with flite's CMU voices, 16 kHz.

    Source: Black and Lenzo, "Flite: a small fast run-time synthesis engine", SSW4 2001; github.com/festvox/flite.
    """

    VOICES: ClassVar = flite_library.VOICES

    @dataclass(frozen=True)
    class Config:
        """How flite speaks."""

        voice: Literal["awb", "kal16", "rms", "slt"] = "rms"
        "`rms` (man, best understood), `slt` (woman), `awb` (man, Scottish) or `kal16` (man, robotic, 15 times faster)."
        speed: float = 1.0
        "Times the voice's own speed, 0.3 to 3."
        pitch: float = 1.0
        "Times the voice's own pitch, 0.5 to 2; `kal16` ignores it."
        library_folder: str = ""
        "Where libflite.so.1 and its voices are; empty for where the system looks."

        def __post_init__(self) -> None:
            if not 0.3 <= self.speed <= 3:
                raise ConfigError(f"flite speed: is {self.speed}; allowed is 0.3 to 3")
            if not 0.5 <= self.pitch <= 2:
                raise ConfigError(f"flite pitch: is {self.pitch}; allowed is 0.5 to 2")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._library: FliteLibrary | None = None

    def load(self) -> None:
        """Load flite and the configured voice; raise BackendUnavailable that says what to install."""
        self._library = open_library(self._config.library_folder, self._config.voice)

    def synthesize(self, text: str, voice: str = "") -> Iterator[Speech]:
        """Yield the spoken text piece by piece, as flite makes it, with little silence around it.

        voice: one of VOICES, empty for the configured one.  What English cannot spell is left out.
        Raises BackendRejected when the voice is unknown or nothing can be said.
        """
        if self._library is None:
            raise BackendUnavailable("flite is not loaded; call load() before synthesize()")
        voice = voice or self._config.voice
        if voice not in self.VOICES:
            raise BackendRejected(f"flite has no voice {voice!r}; known are {', '.join(self.VOICES)}")
        pieces = textwrap.wrap(spell_in_ascii(text), _PIECE_CHARS, break_on_hyphens=False)
        library, config = self._library, self._config

        def push_audio(sink: Sink) -> None:
            library.add_voice(voice)
            for piece in pieces:
                if not library.speak(piece.encode("ascii"), voice, config.speed, config.pitch, sink):
                    return

        trimmer = SilenceTrimmer(SAMPLE_RATE_HZ)
        has_sound = False
        for pcm16 in pull_audio(push_audio, LOCK):
            if sound := trimmer.feed(pcm16):
                has_sound = True
                yield Speech(sound, SAMPLE_RATE_HZ)
        if not has_sound:
            raise BackendRejected("flite can say nothing of this text; it speaks English words and numbers only")
        if tail := trimmer.finish():
            yield Speech(tail, SAMPLE_RATE_HZ)

    def close(self) -> None:
        """Let go of flite; the library itself stays in the process, because it cannot be unloaded safely."""
        self._library = None


def spell_in_ascii(text: str) -> str:
    """Return the text in the characters flite can say: accents removed, common signs as words, the rest as spaces."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_SPELLED_OUT))
    written = "".join(c for c in decomposed if unicodedata.category(c) not in _INVISIBLE).translate(_SPELLED_OUT)
    return re.sub(r"[^\x21-\x7e]+", " ", written).strip()
