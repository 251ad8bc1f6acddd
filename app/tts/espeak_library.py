"""libespeak-ng through ctypes: the part that knows C."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass

from app.errors import BackendRejected, BackendUnavailable
from app.tts.push_stream import Sink

LOCK = threading.Lock()
"""Held while espeak works: voice, speed and callback belong to the whole process."""

_SYNCHRONOUS_OUTPUT = 2
_DO_NOT_EXIT = 0x8000
"""Without it espeak ends the process when its voice data are missing."""
_BUFFER_MS = 60
_TEXT_IS_UTF8 = 1
_FROM_CHARACTER = 1
_RATE, _PITCH = 1, 3
_GO_ON, _STOP = 0, 1

_OnChunk = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    """espeak_VOICE of espeak-ng/speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice that the library knows."""

    identifier: str
    "What espeak loads it by, such as `gmw/en-US`."
    name: str
    "In English, such as `English (America)`."
    languages: tuple[tuple[int, str], ...]
    "Language tags in lower case, each after its rank; the voice of the lowest rank speaks a language best."


class EspeakLibrary:
    """espeak-ng with its voice data.  One per process and path, see `open_library`; never unloaded."""

    def __init__(self, library_path: str) -> None:
        """Load the library at `library_path`, or the one of the espeakng-loader wheel when empty.

        Raises BackendUnavailable that says what to install.
        """
        try:
            library_path, data_path = (library_path, None) if library_path else _find_wheel()
            self._espeak = ctypes.CDLL(library_path)
        except (ImportError, OSError, RuntimeError) as error:
            raise BackendUnavailable(_how_to_install(str(error))) from None
        self._declare_functions()
        self._sink: Sink | None = None
        self._on_chunk = _OnChunk(self._hand_on)
        self.sample_rate: int = self._espeak.espeak_Initialize(_SYNCHRONOUS_OUTPUT, _BUFFER_MS, data_path, _DO_NOT_EXIT)
        if self.sample_rate <= 0:
            raise BackendUnavailable(_how_to_install(f"{library_path} finds no voice data"))
        self._espeak.espeak_SetSynthCallback(self._on_chunk)
        self.voices = self._list_voices()

    def speak(self, text: str, identifier: str, speed_wpm: int, pitch: int, sink: Sink) -> None:
        """Push the spoken text into `sink`, chunk by chunk, until it returns False.  Call with LOCK held.

        Raises BackendRejected when espeak cannot load the voice.
        """
        if self._espeak.espeak_SetVoiceByName(identifier.encode()) != 0:
            raise BackendRejected(f"espeak cannot load the voice {identifier!r}; choose another one")
        self._espeak.espeak_SetParameter(_RATE, speed_wpm, 0)
        self._espeak.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode() + b"\0"
        self._sink = sink
        try:
            self._espeak.espeak_Synth(data, len(data), 0, _FROM_CHARACTER, 0, _TEXT_IS_UTF8, None, None)
        finally:
            self._sink = None

    def _hand_on(self, samples: int | None, n_samples: int, _events: int) -> int:
        if self._sink is None or not samples or n_samples <= 0:
            return _GO_ON
        return _GO_ON if self._sink(ctypes.string_at(samples, 2 * n_samples)) else _STOP

    def _list_voices(self) -> tuple[EspeakVoice, ...]:
        found, voices = self._espeak.espeak_ListVoices(None), []
        for i in range(10_000):
            if not found[i]:
                break
            voice = found[i].contents
            voices.append(
                EspeakVoice(voice.identifier.decode(), voice.name.decode().strip(), _read_languages(voice.languages))
            )
        return tuple(voices)

    def _declare_functions(self) -> None:
        espeak, text, number = self._espeak, ctypes.c_char_p, ctypes.c_int
        espeak.espeak_Initialize.argtypes = [number, number, text, number]
        espeak.espeak_SetSynthCallback.restype, espeak.espeak_SetSynthCallback.argtypes = None, [_OnChunk]
        espeak.espeak_SetVoiceByName.argtypes = [text]
        espeak.espeak_SetParameter.argtypes = [number, number, number]
        espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        espeak.espeak_ListVoices.argtypes = [ctypes.c_void_p]
        espeak.espeak_Synth.argtypes = [
            text, ctypes.c_size_t, ctypes.c_uint, number, ctypes.c_uint, ctypes.c_uint,
            ctypes.POINTER(ctypes.c_uint), ctypes.c_void_p,
        ]  # fmt: skip


_libraries: dict[str, EspeakLibrary] = {}


def open_library(library_path: str) -> EspeakLibrary:
    """Return this process's espeak.  Raises BackendUnavailable."""
    with LOCK:
        if library_path not in _libraries:
            _libraries[library_path] = EspeakLibrary(library_path)
        return _libraries[library_path]


def _find_wheel() -> tuple[str, bytes]:
    import espeakng_loader

    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path().encode()


def _how_to_install(problem: str) -> str:
    return (
        f"espeak-ng cannot be loaded ({problem}); install it with `pip install espeakng-loader`, "
        f"or choose another voice engine such as flite"
    )


def _read_languages(address: int) -> tuple[tuple[int, str], ...]:
    """Read C's list of (one byte of rank, tag, NUL), which a rank of 0 ends."""
    languages = []
    while rank := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        languages.append((rank, tag.decode().lower()))
        address += len(tag) + 2
    return tuple(languages)
