"""Voice detectors on real speech and on what is none."""

from __future__ import annotations

import gc
import importlib.metadata
import sys
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio import silero
from app.audio.codecs import decode
from app.audio.endpointing import Endpoint, Endpointer, EndpointRules
from app.audio.pcm import SILENCE_DBFS, SPEECH_RATE_HZ, duration_s, from_samples, level_dbfs, to_samples, tone
from app.audio.vad import VoiceDetector, load_detector
from app.audio.windows import WINDOW_BYTES, WINDOW_MS, WINDOW_SAMPLES
from app.errors import ConfigError
from tests.speech import every_recording, list_recordings, read_recording

LEAD_S = 1.0
"""Silence before a recording, so that its beginning is not that of the microphone."""

PRE_ROLL_S = 0.3


@cache
def detector(name: str) -> VoiceDetector:
    """Load a detector once for all tests; skip the test where it is not installed."""
    try:
        return load_detector(name)
    except ConfigError as missing:
        pytest.skip(missing.message)


def cut(pcm16: bytes) -> list[bytes]:
    """Cut sound into whole windows."""
    return [pcm16[i : i + WINDOW_BYTES] for i in range(0, len(pcm16) - WINDOW_BYTES + 1, WINDOW_BYTES)]


def silence(seconds: float) -> bytes:
    """Return silence of whole windows."""
    return bytes(WINDOW_BYTES * round(1000 * seconds / WINDOW_MS))


def judge(name: str, windows: list[bytes]) -> NDArray[np.float64]:
    """Return the probabilities of one microphone's windows."""
    stream = detector(name).new_stream()
    return np.array([detector(name).probabilities([stream], [window])[0] for window in windows])


def find_utterances(name: str, pcm16: bytes) -> list[tuple[float, float]]:
    """Return where utterances begin and end, in seconds of the recording."""
    endpointer = Endpointer(EndpointRules())
    found, began_s = [], 0.0
    for number, probability in enumerate(judge(name, cut(silence(LEAD_S) + pcm16 + silence(1.5)))):
        now_s = (number + 1) * WINDOW_MS / 1000 - LEAD_S
        endpoint = endpointer.push(probability)
        if endpoint is Endpoint.STARTED:
            began_s = now_s - endpointer.utterance_ms / 1000
        elif endpoint is Endpoint.STOPPED:
            found.append((began_s, now_s))
    assert not endpointer.in_speech
    return found


def loud_from_s(pcm16: bytes) -> float:
    """Return where a recording first comes within 10 dB of its usual loudness, in seconds."""
    steps = to_samples(pcm16[: len(pcm16) // 320 * 320]).reshape(-1, 160)
    level_db = 10 * np.log10(np.mean(steps**2, axis=1) + 1e-10)
    return float(np.argmax(level_db > np.percentile(level_db, 95) - 10)) * 0.01


def noise(rms: float, seconds: float = 8.0) -> bytes:
    """Return white noise, loud as `rms` of full scale."""
    return from_samples(np.random.default_rng(7).normal(0, rms, round(seconds * SPEECH_RATE_HZ)))


@pytest.mark.parametrize("name", ["silero", "webrtc"])
def test_a_detector_is_loaded_by_its_name(name: str) -> None:
    """The detector knows its own name, and judges no window when none is given."""
    assert detector(name).name == name
    assert list(detector(name).probabilities([], [])) == []
    assert WINDOW_BYTES == 2 * WINDOW_SAMPLES == 2 * WINDOW_MS * SPEECH_RATE_HZ / 1000


def test_an_unknown_detector_is_refused() -> None:
    """A name that is not known is a mistake in the configuration."""
    with pytest.raises(ConfigError, match=r"'selero'.*silero"):
        load_detector("selero")


def test_what_silero_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its model silero is refused with the line that installs it, and auto takes webrtc."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(silero, "DISTRIBUTION", "silero-vad-that-nobody-has")
    with pytest.raises(ConfigError, match="pip install --no-deps silero-vad=="):
        load_detector("silero")
    assert load_detector("auto").name == "webrtc"


def test_silero_needs_no_torch() -> None:
    """The model runs without the package it comes in."""
    detector("silero")
    assert not {"torch", "silero_vad"} & set(sys.modules)
    assert importlib.metadata.version(silero.DISTRIBUTION)


@pytest.mark.parametrize("row", every_recording("speech", "command", quick_s=4))
def test_silero_finds_what_is_said(row: dict[str, str]) -> None:
    """The first utterance of a recording begins with its first syllable, less what the pre-roll holds."""
    pcm16 = decode(read_recording(row["file"]))
    found = find_utterances("silero", pcm16)
    assert found[0][0] - PRE_ROLL_S <= loud_from_s(pcm16)
    assert sum(end_s - start_s for start_s, end_s in found) > duration_s(pcm16, SPEECH_RATE_HZ) / 4


@pytest.mark.parametrize("row", every_recording("speech", "command", quick_s=4))
def test_webrtc_finds_what_is_said(row: dict[str, str]) -> None:
    """The plain detector hears every speaker too."""
    pcm16 = decode(read_recording(row["file"]))
    found = find_utterances("webrtc", pcm16)
    assert found[0][0] - PRE_ROLL_S <= loud_from_s(pcm16)


@pytest.mark.parametrize(
    "pcm16",
    [silence(8), noise(0.0003), noise(0.01), noise(0.2), tone(440, 4), tone(50, 4), noise(0.3, 0.02) + silence(1)],
    ids=["silence", "hiss", "rush", "roar", "beep", "hum", "clap"],
)
def test_silero_hears_no_speech_in_noise(pcm16: bytes) -> None:
    """What is no voice begins no utterance, however loud it is."""
    assert find_utterances("silero", pcm16) == []


def test_webrtc_hears_no_speech_in_silence() -> None:
    """Silence begins no utterance with the plain detector either."""
    assert find_utterances("webrtc", silence(8)) == []


@pytest.mark.parametrize("rms", [0.001, 0.01, 0.1, 0.3])
def test_webrtc_gets_used_to_steady_noise(rms: float) -> None:
    """A fan that runs since the microphone was opened is no speech, however loud it is."""
    endpointer = Endpointer(EndpointRules())
    assert {endpointer.push(chance) for chance in judge("webrtc", cut(noise(rms)))} == {Endpoint.NONE}


@pytest.mark.parametrize("name", ["silero", "webrtc"])
def test_a_batch_is_as_good_as_single_runs(name: str) -> None:
    """Many microphones at once get the probabilities that each gets alone: none hears what another does."""
    sounds = [cut(decode(read_recording(row["file"])))[:30] for row in list_recordings("speech")[:8]] + [
        cut(noise(0.1))
    ]
    if not sounds[:-1]:
        pytest.skip("no recordings here")
    alone = [judge(name, windows) for windows in sounds]
    streams = [detector(name).new_stream() for _ in sounds]
    together = [
        detector(name).probabilities(streams, [windows[i] for windows in sounds]) for i in range(min(map(len, sounds)))
    ]
    for i, column in enumerate(np.array(together).T):
        np.testing.assert_allclose(column, alone[i][: len(column)], atol=1e-4)


@pytest.mark.parametrize("name", ["silero", "webrtc"])
def test_a_microphone_may_miss_batches(name: str) -> None:
    """A stream that is left out of a batch goes on where it was, in any place of the next one."""
    windows, others = cut(noise(0.05, 2)), cut(tone(300, 2))
    alone = judge(name, windows[:20])
    stream, other = (detector(name).new_stream() for _ in range(2))
    found = []
    for i in range(20):
        detector(name).probabilities([other], [others[2 * i]])
        found.append(detector(name).probabilities([other, stream], [others[2 * i + 1], windows[i]])[1])
    np.testing.assert_allclose(found, alone, atol=1e-4)


def test_silero_hears_quiet_speech() -> None:
    """Speech whose loudest window is 10 dB above what counts as silence is found."""
    samples = to_samples(decode(read_recording("goforward.wav")))
    peak_dbfs = max(level_dbfs(window) for window in cut(from_samples(samples)))
    quiet = from_samples(samples * 10 ** ((SILENCE_DBFS + 10 - peak_dbfs) / 20))
    assert find_utterances("silero", quiet)


def test_a_long_silence_changes_nothing() -> None:
    """After a minute in which the network is not asked, the second utterance is heard as the first."""
    if not list_recordings("command"):
        pytest.skip("no recordings here")
    pcm16 = decode(read_recording("rhasspy_what_time_is_it.wav"))
    found = find_utterances("silero", pcm16 + silence(60) + pcm16)
    assert len(found) == 2
    assert found[1][0] - found[0][0] == pytest.approx(60 + duration_s(pcm16, SPEECH_RATE_HZ), abs=0.1)


def test_silero_takes_any_number_of_microphones() -> None:
    """Slots grow while streams live, keep what they remember, and are used again when the streams are gone."""
    mine = load_fresh_silero()
    windows = cut(noise(0.05, 1))[:4]
    first = mine.new_stream()
    found = [mine.probabilities([first], [windows[0]])[0]]
    crowd = [mine.new_stream() for _ in range(300)]
    assert len({stream.slot for stream in [first, *crowd]}) == 301
    for window in windows[1:]:
        found.append(mine.probabilities([first, *crowd], [window] * 301)[0])
    np.testing.assert_allclose(found, judge("silero", windows), atol=1e-4)
    used = {stream.slot for stream in crowd}
    del crowd
    gc.collect()
    again = [mine.new_stream() for _ in range(len(used))]
    assert first.slot not in {stream.slot for stream in again}
    assert max(stream.slot for stream in again) < 512


def test_a_slot_is_handed_on_clean() -> None:
    """A new microphone remembers nothing of the one that had its slot before."""
    mine = load_fresh_silero()
    windows = cut(tone(200, 1))
    for _ in range(200):
        mine.probabilities([mine.new_stream()], [windows[0]])
    stream = mine.new_stream()
    found = [mine.probabilities([stream], [window])[0] for window in windows]
    np.testing.assert_allclose(found, judge("silero", windows), atol=1e-4)


def load_fresh_silero() -> silero.SileroDetector:
    """Load a detector that no other test has used; skip where it is not installed."""
    detector("silero")
    return silero.SileroDetector()


# ---- when the network is asked ---------------------------------------------------------------------------------------

ROOM_S = 10
"""So long only the room is heard, until its noise is known."""


def count_asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of windows of each run of the network."""
    asked: list[int] = []
    ask = silero.SileroDetector._ask_network

    def count(mine: silero.SileroDetector, slots: NDArray[np.intp], heard: NDArray[np.float32]) -> NDArray[np.float32]:
        asked.append(len(slots))
        return ask(mine, slots, heard)

    monkeypatch.setattr(silero.SileroDetector, "_ask_network", count)
    return asked


@pytest.mark.parametrize("rms", [0.0003, 0.003, 0.02])
def test_silero_rests_in_steady_noise(rms: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that is known costs nothing, be it loud: the network is asked no more."""
    asked = count_asked(monkeypatch)
    windows = cut(noise(rms, 12))
    judge("silero", windows[: round(ROOM_S * 1000 / WINDOW_MS)])
    n_before = sum(asked)
    judge("silero", windows)
    assert sum(asked) - n_before <= n_before + 2


@pytest.mark.parametrize("snr_db", [20, 10])
@pytest.mark.parametrize("name", ["goforward.wav", "rhasspy_turn_on_the_lamp.wav", "cards_001.wav"])
def test_a_rest_delays_no_utterance(name: str, snr_db: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After seconds of rest an utterance is found where it is found by asking the network about every window."""
    samples = to_samples(decode(read_recording(name)))
    voice_rms = float(np.sqrt(np.mean(samples**2)))
    heard = np.concatenate([np.zeros(ROOM_S * SPEECH_RATE_HZ, np.float32), samples])
    room = to_samples(noise(voice_rms / 10 ** (snr_db / 20), len(heard) / SPEECH_RATE_HZ))
    pcm16 = from_samples(heard + room[: len(heard)])
    rested = find_utterances("silero", pcm16)
    monkeypatch.setattr(silero, "stand_out", lambda floors, levels: np.ones(len(levels), bool))
    unrested = find_utterances("silero", pcm16)
    assert len(rested) == len(unrested) > 0
    assert rested[0][0] <= unrested[0][0] + WINDOW_MS / 1000 + 1e-6
