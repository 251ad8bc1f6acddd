"""Engines that find wake words in sound, behind one contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clients.device.schema import SettingsError
from clients.device.settings import WakeModel
from clients.device.windows import SAMPLE_RATE, WINDOW_BYTES


class WakeEngine(Protocol):
    """Finds several wake words in one stream; used by one thread, and cheap until `load`."""

    thresholds: dict[str, float]
    "How sure each model wants to be, by name; there after `load`."

    def load(self) -> None:
        """Get ready; raises SettingsError when a model or the engine is missing."""

    def feed(self, window: bytes) -> dict[str, float]:
        """Return how sure each model is, 0 to 1, by name, for a window of 1280 samples."""

    def reset(self) -> None:
        """Forget the stream: what comes next does not follow on it."""

    def close(self) -> None:
        """Give everything back."""


class MicroEngine:
    """pymicro-wakeword: small and quick, with models under the Apache licence in its wheel."""

    def __init__(self, models: Sequence[WakeModel]) -> None:
        self._models = models
        self.thresholds: dict[str, float] = {}
        self._loaded: dict[str, Any] = {}

    def load(self) -> None:
        """Load every model; raises SettingsError."""
        try:
            import pymicro_wakeword
        except ImportError:
            raise SettingsError("the wake word engine micro is missing: pip install pymicro-wakeword") from None
        self._features = pymicro_wakeword.MicroWakeWordFeatures()
        known = [model.value for model in pymicro_wakeword.Model]
        for model in self._models:
            if model.path:
                check_file(model, ".json")
                loaded = _try(model, pymicro_wakeword.MicroWakeWord.from_config, model.path)
            else:
                check_known(model, known)
                loaded = pymicro_wakeword.MicroWakeWord.from_builtin(pymicro_wakeword.Model(model.name))
            self._loaded[model.name] = loaded
            self.thresholds[model.name] = float(loaded.probability_cutoff)

    def feed(self, window: bytes) -> dict[str, float]:
        """Return the highest of the two or three scores that fall into a window, for each model."""
        scores = dict.fromkeys(self._loaded, 0.0)
        for features in self._features.process_streaming(window):
            for name, model in self._loaded.items():
                scores[name] = max(scores[name], float(model.process_streaming_prob(features) or 0.0))
        return scores

    def reset(self) -> None:
        """Forget the stream."""
        self._features.reset()
        for model in self._loaded.values():
            model.reset()

    def close(self) -> None:
        """Free the models."""
        for model in self._loaded.values():
            model.close()
        self._loaded = {}


class OpenWakeWordEngine:
    """pyopen-wakeword, for .tflite files of openWakeWord; the models in its wheel are CC BY-NC-SA: not for business."""

    def __init__(self, models: Sequence[WakeModel]) -> None:
        self._models = models
        self.thresholds: dict[str, float] = {}
        self._loaded: dict[str, Any] = {}
        self._start: list[tuple[Any, dict[str, Any]]] = []

    def load(self) -> None:
        """Load every model and get over the engine's start; raises SettingsError."""
        try:
            import pyopen_wakeword
        except ImportError:
            raise SettingsError("the wake word engine openwakeword is missing: pip install pyopen-wakeword") from None
        # The constructor wants paths, whatever the package's own page says.
        self._features = pyopen_wakeword.OpenWakeWordFeatures.from_builtin()
        known = [model.value for model in pyopen_wakeword.Model]
        for model in self._models:
            if model.path:
                check_file(model, ".tflite")
                loaded = _try(model, pyopen_wakeword.OpenWakeWord.from_model, model.path)
            else:
                check_known(model, known)
                loaded = pyopen_wakeword.OpenWakeWord.from_builtin(pyopen_wakeword.Model(model.name))
            self._loaded[model.name] = loaded
            self.thresholds[model.name] = 0.5
        # It begins with seconds of silence inside, which the first call works off.
        self.feed(bytes(WINDOW_BYTES))
        self._start = [(part, _state_of(part)) for part in (self._features, *self._loaded.values())]

    def feed(self, window: bytes) -> dict[str, float]:
        """Return the highest score of a window for each model."""
        scores = dict.fromkeys(self._loaded, 0.0)
        for embedding in self._features.process_streaming(window):
            for name, model in self._loaded.items():
                for score in model.process_streaming(embedding):
                    scores[name] = max(scores[name], float(score))
        return scores

    def reset(self) -> None:
        """Forget the stream."""
        # Its own reset brings the silence of the start back, which takes a second to work off.
        for part, state in self._start:
            for name, value in state.items():
                setattr(part, name, np.copy(value) if isinstance(value, np.ndarray) else value)

    def close(self) -> None:
        """Free the models."""
        for model in self._loaded.values():
            model.close()
        self._features.close()
        self._loaded = {}
        self._start = []


def _state_of(part: Any) -> dict[str, Any]:
    """Return what a part of pyopen-wakeword remembers of the stream: its arrays, and how much of them is new."""
    kept = {name: value for name, value in vars(part).items() if isinstance(value, np.ndarray)}
    counts = {name: value for name, value in vars(part).items() if name.startswith("new_")}
    return {**{name: np.copy(value) for name, value in kept.items()}, **counts}


class ScriptedEngine:
    """Hears a whistle instead of a word: a tone of 2 kHz, or the number of hertz in the model's path.  For tests."""

    def __init__(self, models: Sequence[WakeModel]) -> None:
        self._models = models
        self.thresholds = {model.name: 0.5 for model in models}

    def load(self) -> None:
        """Nothing to load; raises SettingsError for a path that is no number."""
        self._waves = {}
        for model in self._models:
            if model.path and not model.path.isdecimal():
                raise SettingsError(f"wake model {model.name}: path is {model.path!r}; scripted wants hertz")
            steps = np.arange(WINDOW_BYTES // 2) * (2 * np.pi * float(model.path or 2000) / SAMPLE_RATE)
            self._waves[model.name] = np.exp(1j * steps).astype(np.complex64)

    def feed(self, window: bytes) -> dict[str, float]:
        """Return which share of a window's power the whistle has."""
        samples = np.frombuffer(window, "<i2").astype(np.float32)
        power = float(np.dot(samples, samples))
        if power < 1.0:
            return dict.fromkeys(self._waves, 0.0)
        return {
            name: min(1.0, 2 * abs(complex(np.dot(samples, wave))) ** 2 / (len(samples) * power))
            for name, wave in self._waves.items()
        }

    def reset(self) -> None:
        """It remembers nothing."""

    def close(self) -> None:
        """It holds nothing."""


ENGINES: dict[str, Callable[[Sequence[WakeModel]], WakeEngine]] = {
    "micro": MicroEngine,
    "openwakeword": OpenWakeWordEngine,
    "scripted": ScriptedEngine,
}


def load_engines(models: Sequence[WakeModel]) -> list[WakeEngine]:
    """Return the loaded engines of the models that are enabled; raises SettingsError."""
    names = [model.name for model in models]
    if "" in names:
        raise SettingsError(f"wake.models[{names.index('')}].name is empty: heartbeats want a name for each")
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingsError(f"wake.models: {twice[0]!r} is there twice; give each a name of its own")
    engines: list[WakeEngine] = []
    for kind, engine_class in ENGINES.items():
        chosen = [model for model in models if model.enabled and model.engine == kind]
        if chosen:
            engine = engine_class(chosen)
            _load(kind, engine)
            engines.append(engine)
    return engines


def _load(kind: str, engine: WakeEngine) -> None:
    try:
        engine.load()
    except SettingsError:
        raise
    except Exception as error:
        # Their libraries want a newer system now and then, and say so in ways of their own.
        raise SettingsError(f"the wake word engine {kind} cannot be loaded ({error or type(error).__name__})") from None


def check_known(model: WakeModel, known: list[str]) -> None:
    """Raise SettingsError unless the engine has a model of this name."""
    if model.name not in known:
        raise SettingsError(
            f"wake model {model.name!r}: the engine {model.engine} comes with {', '.join(known)};"
            " give another one's file as path"
        )


def check_file(model: WakeModel, suffix: str) -> None:
    """Raise SettingsError unless the model's file is there and of the right kind."""
    if not Path(model.path).is_file():
        raise SettingsError(f"wake model {model.name!r}: there is no file {model.path}")
    if not model.path.endswith(suffix):
        raise SettingsError(f"wake model {model.name!r}: {model.engine} reads {suffix} files, not {model.path}")


def _try(model: WakeModel, load: Any, path: str) -> Any:
    try:
        return load(path)
    except Exception as error:
        # The packages raise whatever their C library makes of a file that is none of theirs.
        raise SettingsError(
            f"wake model {model.name!r}: {path} cannot be loaded ({error or type(error).__name__})"
        ) from None
