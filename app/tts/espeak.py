"""Speech in over 100 languages by espeak-ng (the espeakng-loader wheel), in this process, offline."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.errors import BackendRejected, BackendUnavailable, ConfigError
from app.tts.backend import Speech
from app.tts.espeak_library import LOCK, EspeakLibrary, EspeakVoice, open_library
from app.tts.push_stream import Sink, pull_audio
from app.tts.silence import SilenceTrimmer


class EspeakTts:
    """Speaks with espeak-ng, 22.05 kHz.

    Source: espeak-ng 1.52, speak_lib.h; github.com/espeak-ng/espeak-ng.
    """

    @dataclass(frozen=True)
    class Config:
        """How espeak speaks."""

        voice: str = "en-us"
        "Language tag (`fr`, `de-AT`), identifier (`roa/fr`) or English name (`French (France)`); `+f3` adds a variant."
        speed_wpm: int = 165
        "Words per minute, 80 to 450."
        pitch: int = 50
        "0 (low) to 99 (high)."
        library_path: str = ""
        "A libespeak-ng that knows its own voice data, such as Debian's libespeak-ng.so.1; empty for the wheel's."

        def __post_init__(self) -> None:
            if not 80 <= self.speed_wpm <= 450:
                raise ConfigError(f"espeak speed_wpm: is {self.speed_wpm}; allowed is 80 to 450")
            if not 0 <= self.pitch <= 99:
                raise ConfigError(f"espeak pitch: is {self.pitch}; allowed is 0 to 99")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._library: EspeakLibrary | None = None

    def load(self) -> None:
        """Load espeak-ng; raise BackendUnavailable that says what to install, BackendRejected for an unknown voice."""
        library = open_library(self._config.library_path)
        find_voice(self._config.voice, library.voices)
        self._library = library

    def synthesize(self, text: str, voice: str = "") -> Iterator[Speech]:
        """Yield the spoken text piece by piece, as espeak makes it, with little silence around it.

        voice: as in Config, empty for the configured one.
        Raises BackendRejected when the voice is unknown or nothing can be said.
        """
        if self._library is None:
            raise BackendUnavailable("espeak is not loaded; call load() before synthesize()")
        library, config = self._library, self._config
        identifier = find_voice(voice or config.voice, library.voices)
        sayable = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)

        def push_audio(sink: Sink) -> None:
            library.speak(sayable, identifier, config.speed_wpm, config.pitch, sink)

        trimmer = SilenceTrimmer(library.sample_rate)
        has_sound = False
        for pcm16 in pull_audio(push_audio, LOCK):
            if sound := trimmer.feed(pcm16):
                has_sound = True
                yield Speech(sound, library.sample_rate)
        if not has_sound:
            raise BackendRejected("espeak can say nothing of this text; it needs letters or numbers")
        if tail := trimmer.finish():
            yield Speech(tail, library.sample_rate)

    def close(self) -> None:
        """Let go of espeak; the library itself stays in the process, because it cannot be unloaded safely."""
        self._library = None


def find_voice(wanted: str, voices: Iterable[EspeakVoice]) -> str:
    """Return the identifier of the voice that a language tag, identifier or English name means, variant included.

    espeak itself knows identifiers, names and file names only: it fails on `en-gb`, which is the language of `gmw/en`.
    A tag with no voice of its own loses its last part until one fits (RFC 4647, section 3.4): `de` speaks `de-AT`.
    Raises BackendRejected that names near voices.
    """
    name, plus, variant = wanted.partition("+")
    known = _index_voices(voices)
    tag = name.strip().lower().replace("_", "-")
    while tag:
        if tag in known:
            return known[tag] + plus + variant
        tag = tag.rpartition("-")[0]
    near = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.5)
    raise BackendRejected(
        f"espeak has no voice {wanted!r}; " + (f"near are {', '.join(near)}" if near else "try en-us, de, fr or gmw/en")
    )


def _index_voices(voices: Iterable[EspeakVoice]) -> dict[str, str]:
    ranks: dict[str, int] = {}
    identifiers: dict[str, str] = {}
    for voice in voices:
        for rank, tag in [(0, voice.identifier.lower()), (0, voice.name.lower()), *voice.languages]:
            if rank < ranks.get(tag, 256):
                ranks[tag], identifiers[tag] = rank, voice.identifier
    return identifiers
