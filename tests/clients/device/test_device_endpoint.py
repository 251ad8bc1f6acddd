"""When an utterance begins and ends, and which sound belongs to it."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest

from clients.device.ear import Ear, pre_roll_s
from clients.device.endpoint import Endpointer, EnergyVad, make_vad
from clients.device.settings import RecordingSettings
from clients.device.windows import WINDOW_S
from tests.clients.device.scenes import noise, settings, whistle, windows_of
from tests.speech import read_recording

VOICE, QUIET = [1.0], [0.0]


def ends(endpointer: Endpointer, *spans: tuple[list[float], int]) -> tuple[str | None, int]:
    """Feed probabilities of 20 ms; return why the utterance ended and after how many milliseconds."""
    at_ms = 0
    for probability, length_ms in spans:
        for _ in range(length_ms // 20):
            at_ms += 20
            if end := endpointer.feed(probability):
                return end, at_ms
    return None, at_ms


def endpointer(after_wake: bool = False, **tree: Any) -> Endpointer:
    return Endpointer(RecordingSettings(**tree), after_wake)


def test_silence_ends_it() -> None:
    """After silence_ms of it, counted from the last speech."""
    assert ends(endpointer(silence_ms=600), (VOICE, 1000), (QUIET, 2000)) == ("silence", 1600)


def test_a_pause_does_not_end_it() -> None:
    """Pauses shorter than silence_ms are part of it; a click in the silence is none of speech."""
    a = endpointer(silence_ms=600)
    assert ends(a, (VOICE, 500), (QUIET, 500), (VOICE, 500), (QUIET, 500), (VOICE, 200)) == (None, 2200)
    assert ends(a, (QUIET, 300), (VOICE, 40), (QUIET, 2000)) == ("silence", 600)


def test_nobody_speaks() -> None:
    """The recording ends after no_speech_s; a click of less than start_ms is no speech."""
    assert ends(endpointer(no_speech_s=3), (QUIET, 1000), (VOICE, 80), (QUIET, 5000)) == ("no-speech", 3000)


def test_somebody_speaks_for_ever() -> None:
    """The limit ends it."""
    assert ends(endpointer(max_utterance_s=10), (VOICE, 20000)) == ("too-long", 10000)


def test_the_end_of_the_wake_word_is_no_question() -> None:
    """The word's own end and the tone do not begin an utterance; what is spoken behind them does."""
    assert ends(endpointer(after_wake=True, no_speech_s=3), (VOICE, 240), (QUIET, 5000)) == ("no-speech", 3000)
    a = endpointer(after_wake=True)
    ends(a, (VOICE, 360))
    assert a.has_started


@pytest.mark.parametrize("vad", ["energy", "webrtc"])
def test_people_are_told_from_the_room(vad: str) -> None:
    """In recordings in a quiet room the detector is sure of speech, and of the room."""
    if vad == "webrtc":
        pytest.importorskip("webrtcvad")
    with wave.open(io.BytesIO(read_recording("goforward.wav"))) as file:
        speech = file.readframes(file.getnframes())
    detector = make_vad(vad)
    room = [p for window in windows_of(noise(2.0)) for p in detector.feed(window, learns=True)]
    spoken = [p for window in windows_of(speech) for p in detector.feed(window, learns=False)]
    after = [p for window in windows_of(noise(2.0, seed=3)) for p in detector.feed(window, learns=True)]
    assert sum(p > 0.5 for p in room + after) < 0.05 * len(room + after)
    assert sum(p > 0.5 for p in spoken) > 0.4 * len(spoken)


def test_the_energy_detector_gets_used_to_noise() -> None:
    """A fan that is switched on is taken for speech at first, and then for the room."""
    vad = EnergyVad()
    for window in windows_of(noise(2.0, 8)):
        vad.feed(window, learns=True)
    fan = [max(vad.feed(window, learns=True)) for window in windows_of(noise(30.0, 100))]
    assert fan[0] > 0.9
    assert max(fan[-50:]) < 0.5


def test_a_voice_over_a_noise_is_heard() -> None:
    """20 dB above the fan are enough."""
    vad = EnergyVad()
    for window in windows_of(noise(30.0, 100)):
        vad.feed(window, learns=True)
    assert min(vad.feed(windows_of(noise(0.1, 1000))[0], learns=False)) > 0.9


# ---- pre-roll --------------------------------------------------------------------------------------------------------


def test_without_a_wake_word_all_pre_roll_is_kept() -> None:
    """Also with one, where the service wants to hear it."""
    assert pre_roll_s(RecordingSettings(pre_roll_ms=1000), False, [1.0] * 100) == 1.0
    assert pre_roll_s(RecordingSettings(pre_roll_ms=800, sends_wake_word=True), True, [1.0] * 100) == 0.8


def test_the_wake_word_itself_is_not_sent() -> None:
    """The pre-roll goes back to the pause behind the word, and as far as its end may lie when there is none."""
    one_breath = [0.0] * 50 + [1.0] * 50
    assert pre_roll_s(RecordingSettings(), True, one_breath) == pytest.approx(0.3)
    pause_then_question = [1.0] * 50 + [0.0] * 3 + [1.0] * 4
    assert pre_roll_s(RecordingSettings(), True, pause_then_question) == pytest.approx(0.12)
    assert pre_roll_s(RecordingSettings(), True, []) == pytest.approx(0.3)
    assert pre_roll_s(RecordingSettings(wake_tail_ms=0), True, one_breath) == 0.0


@pytest.mark.parametrize("mode", ["wake", "push_to_talk"])
def test_what_was_just_heard_is_in_the_utterance_once(mode: str) -> None:
    """The pre-roll ends with the newest window, and the next window follows it: nothing is lost or doubled."""
    ear = Ear(settings({"mode": mode, "recording": {"sends_wake_word": True, "pre_roll_ms": 400}}), [], [])
    sound = windows_of(noise(4.0, 3000))
    for window in sound[:20]:
        ear.feed(window, False)
    utterance = ear.begin(after_wake=mode == "wake")
    for window in sound[20:25]:
        ear.feed(window, False)
    ear.end()
    ear.feed(sound[25], False)
    assert utterance.pcm16() == b"".join(sound[15:25])
    assert utterance.duration_s == pytest.approx(10 * WINDOW_S)


def test_hands_free_begins_with_speech() -> None:
    """Whoever speaks is heard from before the first syllable; while the device speaks nobody is."""
    ear = Ear(settings({"mode": "hands_free"}), [], [])
    for window in windows_of(noise(2.0)):
        assert ear.feed(window, False) == []
    loud = windows_of(noise(1.0, 3000))
    assert [ear.feed(window, True) for window in loud] == [[]] * len(loud)
    for window in windows_of(noise(8.0)):
        ear.feed(window, False)
    told = [ear.feed(window, False) for window in loud[:3]]
    assert [type(each).__name__ for events in told for each in events][:1] == ["SpeechBegan"]


def test_a_whistle_in_the_devices_own_voice_wakes_nobody() -> None:
    """What the speaker plays is heard by guards first; the same whistle from somebody else wakes."""
    from clients.device.wake import load_engines

    made = settings({"speaker": {"sample_rate": 48000}})
    ear = Ear(made, load_engines(made.wake.models), load_engines(made.wake.models))
    for window in windows_of(noise(2.0)):
        ear.feed(window, False)
    ear.hear_own_voice(whistle(0.4, 48000), 48000)
    heard = [event for window in windows_of(whistle(0.4)) for event in ear.feed(window, True)]
    assert heard == []
    for window in windows_of(noise(2.5)):
        ear.feed(window, False)
    heard = [event for window in windows_of(whistle(0.4)) for event in ear.feed(window, False)]
    assert [type(event).__name__ for event in heard] == ["WakeHeard"]
