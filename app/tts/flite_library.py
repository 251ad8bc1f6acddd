"""libflite 2.x through ctypes: the part that knows C."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

from app.errors import BackendUnavailable
from app.tts.push_stream import Sink

VOICES = ("awb", "kal16", "rms", "slt")
"""The voices of Debian's libflite1 that speak at SAMPLE_RATE_HZ."""

SAMPLE_RATE_HZ = 16_000

LOCK = threading.Lock()
"""Held while flite works: upstream promises nothing about threads, and a voice's settings belong to the process."""

_CHUNK_SAMPLES = 1_600

# flite keeps the address of a feature's name, not its letters: these bytes must live as long as the process.
_STREAMING_INFO = b"streaming_info"
_DURATION_STRETCH = b"duration_stretch"
_F0_SHIFT = b"f0_shift"

_GO_ON, _STOP = 0, -1


class _Wave(ctypes.Structure):
    """cst_wave of flite/cst_wave.h."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.c_void_p),
    )


_OnChunk = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Wave), ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)


class _StreamingInfo(ctypes.Structure):
    """cst_audio_streaming_info of flite/cst_audio.h."""

    _fields_ = (
        ("min_buffsize", ctypes.c_int),
        ("asc", _OnChunk),
        ("utt", ctypes.c_void_p),
        ("item", ctypes.c_void_p),
        ("userdata", ctypes.c_void_p),
    )


class _Voice(ctypes.Structure):
    """The head of cst_voice of flite/cst_voice.h."""

    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


class FliteLibrary:
    """flite and its voices.  One per process and folder, see `open_library`; never unloaded."""

    def __init__(self, folder: str) -> None:
        """Load libflite from `folder`, or from where the system's linker looks when empty.

        Raises BackendUnavailable that says what to install.
        """
        self._folder = folder
        self._voices: dict[str, int] = {}
        self._sink: Sink | None = None
        self._on_chunk = _OnChunk(self._hand_on)
        self._flite = self._load("flite")
        self._declare_functions()
        self._flite.flite_init()

    def add_voice(self, voice: str) -> None:
        """Make one of VOICES ready; call with LOCK held.  Raises BackendUnavailable."""
        if voice in self._voices:
            return
        register = getattr(self._load(f"flite_cmu_us_{voice}"), f"register_cmu_us_{voice}")
        register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        pointer = register(None)
        info = self._flite.new_audio_streaming_info()
        info.contents.min_buffsize = _CHUNK_SAMPLES
        info.contents.asc = self._on_chunk
        self._flite.flite_feat_set(_features(pointer), _STREAMING_INFO, self._flite.audio_streaming_info_val(info))
        self._voices[voice] = pointer

    def speak(self, text: bytes, voice: str, speed: float, pitch: float, sink: Sink) -> bool:
        """Push the spoken text into `sink`, chunk by chunk; return whether it was spoken to its end.

        text: ASCII.  speed, pitch: times the voice's own.  Call with LOCK held, after `add_voice(voice)`.
        """
        pointer = self._voices[voice]
        self._flite.flite_feat_set_float(_features(pointer), _DURATION_STRETCH, 1 / speed)
        self._flite.flite_feat_set_float(_features(pointer), _F0_SHIFT, pitch)
        is_stopped = False

        def note_stop(pcm16: bytes) -> bool:
            nonlocal is_stopped
            is_stopped = not sink(pcm16)
            return not is_stopped

        self._sink = note_stop
        try:
            # Not flite_text_to_wave: it copies a wave that does not exist after a stop.
            utterance = self._flite.flite_synth_text(text, pointer)
            if utterance:
                self._flite.delete_utterance(utterance)
        finally:
            self._sink = None
        return not is_stopped

    def _hand_on(self, wave: ctypes._Pointer[_Wave], start: int, n_samples: int, _is_last: int, _info: int) -> int:
        if self._sink is None or n_samples <= 0:
            return _GO_ON
        pcm16 = ctypes.string_at(wave.contents.samples + 2 * start, 2 * n_samples)
        return _GO_ON if self._sink(pcm16) else _STOP

    def _load(self, name: str) -> ctypes.CDLL:
        path = str(Path(self._folder) / f"lib{name}.so.1") if self._folder else f"lib{name}.so.1"
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            raise BackendUnavailable(
                f"flite cannot be loaded ({error}); install it with `apt-get install libflite1`, "
                f"or choose another voice engine such as espeak"
            ) from None

    def _declare_functions(self) -> None:
        flite, pointer = self._flite, ctypes.c_void_p
        flite.flite_synth_text.restype, flite.flite_synth_text.argtypes = pointer, [ctypes.c_char_p, pointer]
        flite.delete_utterance.restype, flite.delete_utterance.argtypes = None, [pointer]
        flite.new_audio_streaming_info.restype = ctypes.POINTER(_StreamingInfo)
        flite.audio_streaming_info_val.restype = pointer
        flite.audio_streaming_info_val.argtypes = [ctypes.POINTER(_StreamingInfo)]
        flite.flite_feat_set.restype, flite.flite_feat_set.argtypes = None, [pointer, ctypes.c_char_p, pointer]
        flite.flite_feat_set_float.restype = None
        flite.flite_feat_set_float.argtypes = [pointer, ctypes.c_char_p, ctypes.c_float]


_libraries: dict[str, FliteLibrary] = {}


def open_library(folder: str, voice: str) -> FliteLibrary:
    """Return this process's flite with one voice ready.  Raises BackendUnavailable."""
    with LOCK:
        if folder not in _libraries:
            _libraries[folder] = FliteLibrary(folder)
        _libraries[folder].add_voice(voice)
        return _libraries[folder]


def _features(voice: int) -> int:
    return ctypes.cast(voice, ctypes.POINTER(_Voice)).contents.features
