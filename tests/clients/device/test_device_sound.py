"""Sound inside the device: what is kept, how it waits, how other formats are converted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.device.inbox import Inbox
from clients.device.level import SILENT_DBFS, dbfs, rms
from clients.device.player import Player
from clients.device.ring import Ring
from clients.device.settings import SpeakerSettings
from clients.device.windows import SAMPLE_RATE, WINDOW_BYTES, Windows
from tests.clients.device.scenes import whistle


@given(st.lists(st.binary(max_size=30).map(lambda b: b[: len(b) & ~1]), max_size=20), st.integers(0, 12))
def test_the_ring_has_the_newest(pieces: list[bytes], n_samples: int) -> None:
    """Whatever was written in whatever pieces, the newest comes back in order."""
    ring = Ring(0.5, 20)
    for piece in pieces:
        ring.write(piece)
    everything = b"".join(pieces)[-20:]
    assert ring.read_last(n_samples / 20) == everything[len(everything) - min(len(everything), 2 * n_samples) :]
    ring.clear()
    assert ring.read_last(1) == b""


def test_chunks_stay_in_order() -> None:
    """What comes out is what went in, and nothing was lost."""
    inbox = Inbox(10)
    for number in range(10):
        inbox.put_chunk(bytes([number]))
    taken = [inbox.take_chunk() for _ in range(11)]
    assert taken == [*((bytes([n]), False) for n in range(10)), None]
    assert inbox.n_lost == 0


def test_an_inbox_that_nobody_empties_does_not_grow() -> None:
    """The oldest give way; how many did is known, and the first after the gap says so."""
    inbox = Inbox(3)
    for number in range(10):
        inbox.put_chunk(bytes([number]))
    assert inbox.n_waiting == 3
    assert [inbox.take_chunk() for _ in range(3)] == [(b"\7", True), (b"\x08", False), (b"\t", False)]
    assert inbox.n_lost == 7


@given(
    st.sampled_from([(8000, 1), (16000, 1), (16000, 2), (22050, 1), (44100, 2), (48000, 1), (48000, 4), (11025, 3)]),
    st.lists(st.integers(0, 5000), min_size=1, max_size=30),
)
def test_windows_do_not_depend_on_how_sound_is_cut(form: tuple[int, int], cuts: list[int]) -> None:
    """The same stream gives the same windows, cut into any chunks, odd ones too."""
    rate, channels = form
    stream = np.random.default_rng(1).integers(-20000, 20000, rate // 2 * channels).astype("<i2").tobytes()
    cut = Windows(rate, channels)
    found = []
    at = 0
    for size in cuts:
        found += cut.feed(stream[at : at + size])
        at += size
    found += cut.feed(stream[at:])
    assert found == Windows(rate, channels).feed(stream)
    assert all(len(window) == WINDOW_BYTES for window in found)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_keeps_pitch_and_level_at_any_rate(rate: int) -> None:
    """1 kHz stays 1 kHz, as loud as it was, with at least 60 dB between it and what conversion adds."""
    windows = Windows(rate, 1).feed(whistle(2.0, rate, 1000.0))
    samples = np.frombuffer(b"".join(windows), "<i2")[SAMPLE_RATE // 2 : SAMPLE_RATE // 2 * 3].astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    tone = spectrum[990:1011].sum()
    assert np.argmax(spectrum) == 1000
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.01)
    assert 10 * np.log10(tone / (spectrum.sum() - tone)) > 60


def test_what_is_too_high_is_damped() -> None:
    """A tone of 12 kHz at 48 kHz does not fold back to 4 kHz."""
    windows = Windows(48000, 1).feed(whistle(1.0, 48000, 12000.0))
    assert dbfs(rms(b"".join(windows[2:]))) < dbfs(8000 / np.sqrt(2)) - 60


def test_channels_are_averaged() -> None:
    """Both sides of a stereo microphone are heard, at the right speed."""
    left, right = np.full(SAMPLE_RATE, 1000, "<i2"), np.full(SAMPLE_RATE, -3000, "<i2")
    windows = Windows(SAMPLE_RATE, 2).feed(np.stack([left, right], axis=1).tobytes())
    assert len(windows) == 12
    assert set(np.frombuffer(b"".join(windows), "<i2")) == {-1000}


def test_levels_of_known_sounds() -> None:
    """Silence, half a scale and nothing at all."""
    assert (rms(b""), dbfs(rms(bytes(100)))) == (0.0, SILENT_DBFS)
    assert dbfs(rms(np.full(100, 16384, "<i2").tobytes())) == pytest.approx(-6.02, abs=0.01)


def test_the_player_mixes_nothing_up() -> None:
    """A reply is played whole, tones go before it, and silence follows; its begin and end are told."""
    told: list[object] = []
    player = Player(SpeakerSettings(tone_volume=0.0), 16000, told.append)
    player.play(b"\1\0" * 50)
    player.play(b"\2\0" * 30)
    assert [type(each).__name__ for each in told] == ["PlayingBegan"]
    assert player.fill(60) == b"\1\0" * 50 + b"\2\0" * 10
    player.tone("wake")
    n_tone = round(0.09 * 16000)
    assert player.fill(n_tone) == bytes(2 * n_tone)
    assert player.fill(40) == b"\2\0" * 20 + bytes(40)
    assert player.fill(40) == bytes(80)
    assert [type(each).__name__ for each in told] == ["PlayingBegan", "PlayingEnded"]


def test_a_player_that_is_stopped_is_silent_at_once() -> None:
    """Nothing of the reply follows, and what comes later is played."""
    player = Player(SpeakerSettings(), 16000, lambda _event: None)
    player.play(b"\1\0" * 1000)
    player.fill(10)
    player.stop()
    assert player.fill(10) == bytes(20)
    player.play(b"\3\0" * 10)
    assert player.fill(10) == b"\3\0" * 10


def test_volume_does_not_wrap() -> None:
    """Too loud is clipped, not turned over."""
    player = Player(SpeakerSettings(volume=4.0), 16000, lambda _event: None)
    player.play(np.array([100, 20000, -20000], "<i2").tobytes())
    assert np.frombuffer(player.fill(3), "<i2").tolist() == [400, 32767, -32768]
