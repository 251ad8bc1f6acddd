"""Wake words: what the engines hear in recordings, and what is made of their scores."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import pytest

from clients.device.detector import Detector
from clients.device.settings import Settings, WakeModel
from clients.device.wake import load_engines
from clients.service import Trouble
from tests.clients.device.scenes import noise, settings, whistle, windows_of
from tests.speech import read_recording

WORDS = {
    "okay_nabu": ["wake_okay_nabu_1.wav", "wake_okay_nabu_2.wav", "wake_okay_nabu_3.wav"],
    "hey_jarvis": ["wake_hey_jarvis_1.wav", "wake_hey_jarvis_2.wav"],
    "hey_mycroft": ["wake_hey_mycroft_1.wav", "wake_hey_mycroft_2.wav", "wake_hey_mycroft_3.wav"],
    "alexa": ["wake_alexa_1.wav", "wake_alexa_2.wav", "wake_alexa_3.wav"],
}
OTHERS = ("librivox_0870.wav", "rhasspy_what_time_is_it.wav", "goforward.wav", "oww_hey_jane.wav", "vosk_test.wav")


def pcm16_of(name: str) -> bytes:
    with wave.open(io.BytesIO(read_recording(name))) as file:
        return file.readframes(file.getnframes())


def detect(engines: list[Any], made: Settings, pcm16: bytes) -> list[str]:
    """Return the wake words that are found in a recording between two spans of a quiet room."""
    detector = Detector(made.wake, {name: t for engine in engines for name, t in engine.thresholds.items()})
    found = []
    for number, window in enumerate(windows_of(noise(1.5) + pcm16 + noise(1.5, seed=1))):
        scores = {name: score for engine in engines for name, score in engine.feed(window).items()}
        found += [each.model.name for each in detector.feed(scores, 1000.0, False, number * 0.08)]
    return found


def test_people_are_heard_and_once() -> None:
    """With four models at once, each recording wakes its own model, once for each time; other speech wakes none."""
    pytest.importorskip("pymicro_wakeword")
    made = settings({"wake": {"models": [{"name": name} for name in WORDS]}})
    engines = load_engines(made.wake.models)
    for word, names in WORDS.items():
        for name in names:
            # In one recording the word is said twice.
            assert detect(engines, made, pcm16_of(name)) == [word] * (1 + (name == "wake_okay_nabu_3.wav")), name
            engines[0].reset()
    for name in OTHERS:
        assert detect(engines, made, pcm16_of(name)) == [], name
    engines[0].close()


def test_people_are_heard_by_openwakeword_too() -> None:
    """The engine for files of openWakeWord keeps the same contract."""
    pytest.importorskip("pyopen_wakeword")
    made = settings({"wake": {"models": [{"name": "alexa", "engine": "openwakeword"}]}})
    engines = load_engines(made.wake.models)
    for name in WORDS["alexa"]:
        assert detect(engines, made, pcm16_of(name)) == ["alexa"], name
    assert detect(engines, made, pcm16_of("goforward.wav")) == []
    engines[0].close()


def test_openwakeword_begins_anew_at_once() -> None:
    """Its start takes a second of work, for which nobody has time at each reply: it is as it was behind it."""
    pytest.importorskip("pyopen_wakeword")
    (engine,) = load_engines([WakeModel(name="alexa", engine="openwakeword")])
    word = windows_of(pcm16_of("wake_alexa_1.wav"))
    first = [engine.feed(window) for window in word]
    features: Any = engine._features  # type: ignore[attr-defined]
    work, features.process_streaming = features.process_streaming, None
    engine.reset()
    features.process_streaming = work
    assert [engine.feed(window) for window in word] == first
    engine.close()


MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "a name that nobody knows": ({"name": "computer"}, "comes with .*okay_nabu"),
    "a file that is not there": ({"name": "a", "path": "/none/a.json"}, "there is no file"),
    "a file of the other engine": ({"name": "a", "path": __file__}, "reads .json files"),
    "a whistle without a pitch": ({"name": "a", "engine": "scripted", "path": "high"}, "wants hertz"),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_model_that_is_missing_is_told(name: str) -> None:
    """The message names the model and says what there is."""
    tree, told = MISSING[name]
    if tree.get("engine") != "scripted":
        pytest.importorskip("pymicro_wakeword")
    with pytest.raises(Trouble, match=told):
        load_engines(settings({"wake": {"models": [tree]}}).wake.models)


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    """Whatever the engine makes of it, one line says which file it was."""
    pytest.importorskip("pymicro_wakeword")
    path = tmp_path / "word.json"
    for text in ("{}", "nonsense", '{"micro": {}, "model": "none.tflite", "wake_word": "x"}'):
        path.write_text(text)
        with pytest.raises(Trouble, match=r"word\.json cannot be loaded"):
            load_engines(settings({"wake": {"models": [{"name": "a", "path": str(path)}]}}).wake.models)


def test_two_models_of_one_name_are_told() -> None:
    """A name tells them apart."""
    with pytest.raises(Trouble, match="there twice"):
        load_engines(settings({"wake": {"models": [{"name": "a"}, {"name": "a"}]}}).wake.models)


def test_a_whistle_is_heard() -> None:
    """The scripted engine hears its own pitch, and neither another nor noise."""
    (engine,) = load_engines(settings().wake.models)
    assert engine.feed(windows_of(whistle(0.1))[0])["whistle"] > 0.95
    assert engine.feed(windows_of(whistle(0.1, pitch_hz=1000))[0])["whistle"] < 0.05
    assert engine.feed(windows_of(noise(0.1, 3000))[0])["whistle"] < 0.1
    assert engine.feed(bytes(2560)) == {"whistle": 0.0}


# ---- scores ----------------------------------------------------------------------------------------------------------


def detector(*models: dict[str, Any], **wake: Any) -> Detector:
    named = [{"name": "a"}, {"name": "b"}] if not models else list(models)
    return Detector(settings({"wake": {"models": named, **wake}}).wake, {"a": 0.9, "b": 0.8})


def names(detector: Detector, at_s: float, *, rms: float = 500, speaking: bool = False, **scores: float) -> list[str]:
    return [each.model.name for each in detector.feed(scores, rms, speaking, at_s)]


def test_the_models_own_threshold_is_the_default() -> None:
    """What is set wins over it."""
    assert names(detector(), 0, a=0.85) == []
    assert names(detector(), 0, a=0.91) == ["a"]
    assert names(detector({"name": "a", "threshold": 0.4}), 0, a=0.5) == ["a"]


def test_a_disabled_model_is_not_heard() -> None:
    """However sure its engine is."""
    assert names(detector({"name": "a", "enabled": False}), 0, a=1.0) == []


def test_a_word_is_heard_again_after_its_cooldown() -> None:
    """Not while its scores stay high, not while it cools down, and then again."""
    a = detector({"name": "a", "cooldown_s": 2.0})
    assert [bool(names(a, n * 0.08, a=0.95)) for n in range(60)].count(True) == 1
    names(a, 5.0, a=0.0)
    assert names(a, 5.08, a=0.95) == ["a"]
    names(a, 5.16, a=0.0)
    assert names(a, 6.0, a=0.95) == []
    names(a, 6.5, a=0.0)
    assert names(a, 7.2, a=0.95) == ["a"]


def test_the_surest_is_told() -> None:
    """Or every one, where that is asked for; what a second model makes of the same word is not told."""
    a = detector()
    assert names(a, 0, a=0.95, b=0.99) == ["b"]
    assert names(a, 0.5, a=0.99, b=0.0) == []
    assert names(detector(multi_trigger=True), 0, a=0.95, b=0.99) == ["b", "a"]


def test_quiet_sound_wakes_nobody() -> None:
    """Judged by the loudest window of the last second, since scores come behind their word."""
    a = detector(min_rms=50)
    assert names(a, 0, rms=10, a=0.99) == []
    b = detector(min_rms=50)
    names(b, 0, rms=300, a=0.0)
    assert names(b, 0.4, rms=10, a=0.99) == ["a"]


def test_the_devices_own_voice_wakes_nobody() -> None:
    """A word that the speaker says is not heard for a while; somebody else is, when the score is high enough."""
    a = detector(echo_guard_s=1.5)
    a.hear_own_voice({"a": 0.6}, 10.0)
    assert names(a, 10.2, speaking=True, a=1.0) == []
    names(a, 11.6, a=0.0)
    assert names(a, 11.7, speaking=True, a=0.94) == []
    names(a, 11.8, a=0.0)
    assert names(a, 11.9, speaking=True, a=0.96) == ["a"]


def test_numbers_are_plain() -> None:
    """Whatever an engine gives, detections can be written as JSON."""
    import json

    import numpy as np

    (found,) = detector().feed({"a": np.float32(0.95), "b": np.float32(0.1)}, 500, False, 0.0)  # type: ignore[dict-item]
    json.dumps([found.score, found.threshold, found.scores])
    assert isinstance(found.model, WakeModel)
