"""Silero VAD: a small recurrent network, run for all microphones at once."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.audio.noise_floor import LOWEST_DBFS, follow, stand_out
from app.audio.pcm import FULL_SCALE, SPEECH_RATE_HZ
from app.audio.windows import WINDOW_SAMPLES
from app.errors import ConfigError

if TYPE_CHECKING:
    import onnxruntime

DISTRIBUTION = "silero-vad"
MODEL_FILE = "silero_vad_16k_op15.onnx"
# Its declared dependency is torch, which the model file does not need.
INSTALL = "pip install onnxruntime && pip install --no-deps silero-vad==6.2.3"

CONTEXT_SAMPLES = 64
"""The end of the window before, which the network wants in front of each window."""

DITHER = 1e-6
"""Far below the last bit; silence has no logarithm."""
SURE_OF_NO_SPEECH = 0.1

STATE_SIZE = 128
_N_LAYERS = 2
_FIRST_SLOTS = 64


class SileroStream:
    """One microphone: the number of its slot in the detector's arrays."""

    __slots__ = ("__weakref__", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot


class SileroDetector:
    """Keeps what the network remembers of all microphones in arrays, so that a batch is one gather and one scatter.

    Streams may be made and dropped in other threads than the one that asks for probabilities.
    Source: https://github.com/snakers4/silero-vad, release 6.2.3 (MIT).
    """

    name = "silero"

    def __init__(self) -> None:
        self._session = _open_session()
        self._rate = np.array(SPEECH_RATE_HZ, np.int64)
        self._states: NDArray[np.float32] = np.zeros((_N_LAYERS, _FIRST_SLOTS, STATE_SIZE), np.float32)
        self._heard: NDArray[np.float32] = np.zeros((_FIRST_SLOTS, CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
        """The last window, as the network wants it: the next one's context, and what it is asked first after a rest."""
        self._chances: NDArray[np.float32] = np.zeros(_FIRST_SLOTS, np.float32)
        self._floors_dbfs: NDArray[np.float32] = np.full(_FIRST_SLOTS, LOWEST_DBFS, np.float32)
        self._is_skipping: NDArray[np.bool_] = np.zeros(_FIRST_SLOTS, np.bool_)
        self._free = list(range(_FIRST_SLOTS))
        self._lock = threading.Lock()
        """Held while the arrays are read, written or replaced; never while the network runs."""

    def new_stream(self) -> SileroStream:
        """Take a slot for a microphone; it is free again when the stream is garbage."""
        with self._lock:
            if not self._free:
                self._grow()
            slot = self._free.pop()
            self._states[:, slot] = 0
            self._heard[slot] = 0
            self._chances[slot] = 0
            self._floors_dbfs[slot] = LOWEST_DBFS
            self._is_skipping[slot] = False
        stream = SileroStream(slot)
        weakref.finalize(stream, self._free.append, slot).atexit = False
        return stream

    def probabilities(self, streams: Sequence[SileroStream], windows: Sequence[bytes]) -> Sequence[float]:
        """Judge one window of each stream; no stream may come twice.

        The network is not asked where it just heard no speech and the window is no louder than the room: most
        microphones, most of the time.
        """
        if not streams:
            return []
        slots = np.fromiter((stream.slot for stream in streams), np.intp, len(streams))
        heard = np.empty((len(slots), CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
        fresh = np.frombuffer(b"".join(windows), "<i2").reshape(len(slots), WINDOW_SAMPLES)
        np.divide(fresh, np.float32(FULL_SCALE), out=heard[:, CONTEXT_SAMPLES:], dtype=np.float32)
        with self._lock:
            before = self._heard[slots]
            heard[:, :CONTEXT_SAMPLES] = before[:, -CONTEXT_SAMPLES:]
            self._heard[slots] = heard
            is_asked = self._choose(slots, levels_dbfs(heard[:, CONTEXT_SAMPLES:]))
            asked = np.flatnonzero(is_asked)
            resumed = asked[self._is_skipping[slots[asked]]]
            self._is_skipping[slots] = ~is_asked
        chances = np.zeros(len(slots), np.float32)
        if len(resumed):
            # A first syllable is understood by what was before it.
            self._ask_network(slots[resumed], before[resumed])
        if len(asked):
            chances[asked] = self._ask_network(slots[asked], heard[asked])
        with self._lock:
            self._chances[slots] = chances
        return chances.tolist()

    def _choose(self, slots: NDArray[np.intp], levels: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say of which windows the network is to be asked, and follow the noise of the rooms."""
        may_be_speech = self._chances[slots] > SURE_OF_NO_SPEECH
        floors = self._floors_dbfs[slots]
        self._floors_dbfs[slots] = follow(floors, levels, ~may_be_speech)
        return may_be_speech | stand_out(floors, levels)

    def _ask_network(self, slots: NDArray[np.intp], heard: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how likely each row is speech, and keep the states that come with it."""
        with self._lock:
            states = self._states.take(slots, axis=1)
        chances, states = self._session.run(None, {"input": heard, "state": states, "sr": self._rate})
        with self._lock:
            self._states[:, slots] = states
        return np.asarray(chances[:, 0], np.float32)

    def _grow(self) -> None:
        """Double the slots."""
        n_slots = len(self._heard)
        self._states = np.concatenate([self._states, np.zeros_like(self._states)], axis=1)
        self._heard, self._chances, self._floors_dbfs, self._is_skipping = (
            np.concatenate([array, np.zeros_like(array)])
            for array in (self._heard, self._chances, self._floors_dbfs, self._is_skipping)
        )
        self._free.extend(range(n_slots, 2 * n_slots))


def levels_dbfs(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how loud each row is, without its mean, against full scale; digital silence is very quiet."""
    return np.float32(20) * np.log10(samples.std(axis=1) + np.float32(DITHER))


def check_installed() -> None:
    """Raise ConfigError that says what to install where something is missing; loads nothing."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise _is_missing("onnxruntime is not installed")
    _find_model()


def _open_session() -> onnxruntime.InferenceSession:
    """Open the model, in one thread that does not spin; raise ConfigError where something is missing."""
    try:
        import onnxruntime
    except ImportError as missing:
        raise _is_missing(f"onnxruntime cannot be loaded ({missing})") from missing
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(_find_model(), options, providers=["CPUExecutionProvider"])


def _find_model() -> str:
    """Return the path of the model; its package is never imported, for it would load torch."""
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError as missing:
        raise _is_missing(f"{DISTRIBUTION} is not installed") from missing
    for file in files:
        path = file.locate()
        if file.name == MODEL_FILE and path.is_file():  # type: ignore[attr-defined]
            return str(path)
    raise _is_missing(f"{DISTRIBUTION} is installed without {MODEL_FILE}")


def _is_missing(what: str) -> ConfigError:
    return ConfigError(f"{what}, and the voice detector silero needs it. Install it: {INSTALL}")
