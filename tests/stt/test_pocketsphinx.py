"""Spoken commands are understood offline, and other speech is not taken for a command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.audio.codecs import decode as decode_file
from app.audio.pcm import SPEECH_RATE_HZ
from app.errors import BackendUnavailable, ConfigError
from app.intents.grammar import load_grammar
from app.settings import build_config
from app.stt.agreement import Agreement
from app.stt.pocketsphinx import PocketsphinxStt, beginnings_of, choose_text, difference
from app.stt.sphinx_decoders import load_command_decoders, read_pronunciations
from tests.speech import list_recordings, read_recording

pytest.importorskip("pocketsphinx")
CONFIG = PocketsphinxStt.Config()


@pytest.fixture(scope="module")
def recogniser() -> PocketsphinxStt:
    backend = PocketsphinxStt(CONFIG)
    backend.load()
    return backend


def recording(name: str) -> bytes:
    return decode_file(read_recording(name))


def spoken(text: str) -> bytes:
    from app.tts.flite import FliteTts

    flite = FliteTts(FliteTts.Config())
    try:
        flite.load()
    except BackendUnavailable as error:
        pytest.skip(error.message)
    pieces = list(flite.synthesize(text))
    assert pieces[0].sample_rate == SPEECH_RATE_HZ
    return b"".join(piece.pcm16 for piece in pieces)


def heard(backend: PocketsphinxStt, pcm16: bytes) -> str:
    *partial, final = backend.transcribe([pcm16])
    assert final.is_final
    assert not any(hypothesis.is_final for hypothesis in partial)
    return final.text


@pytest.mark.engine
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("rhasspy_what_time_is_it.wav", "what time is it"),
        ("rhasspy_turn_on_the_lamp.wav", "turn on the lamp"),
        ("wyoming_living_room_lamp.wav", "turn on the living room lamp"),
        ("rhasspy_this_is_a_test.wav", "this is a test"),
        ("rhasspy_play_the_beatles.wav", "play the beatles"),
        ("sr_one_two_three.wav", "one two three"),
        ("livekit_hello_world.wav", "hello world"),
    ],
)
def test_spoken_commands(recogniser: PocketsphinxStt, file: str, text: str) -> None:
    """Commands that people recorded come out word for word."""
    assert heard(recogniser, recording(file)) == text


@pytest.mark.engine
@pytest.mark.parametrize("file", ["lj_001-0002.wav", "cards_001.wav"])
def test_other_speech_is_no_command(recogniser: PocketsphinxStt, file: str) -> None:
    """Dictation comes out as some text that asks for nothing."""
    text = heard(recogniser, recording(file))
    assert text
    assert load_grammar().parse(text) is None


@pytest.mark.engine
@pytest.mark.parametrize("text", ["set a timer for five minutes", "turn off the kitchen light", "tell me a joke"])
def test_synthetic_commands(recogniser: PocketsphinxStt, text: str) -> None:
    """A command that flite speaks is understood."""
    assert heard(recogniser, spoken(text)) == text


def hiss(level: float, seconds: float = 2.0) -> bytes:
    return np.random.default_rng(3).normal(0, level, round(seconds * SPEECH_RATE_HZ)).astype("<i2").tobytes()


def clicks() -> bytes:
    samples = np.zeros(2 * SPEECH_RATE_HZ, "<i2")
    samples[::9000] = 20_000
    return samples.tobytes()


@pytest.mark.engine
@pytest.mark.parametrize(
    "make", [lambda: b"", lambda: b"\0", lambda: b"\0" * 64_000, lambda: hiss(30), lambda: hiss(3000), clicks]
)
def test_nothing_said(recogniser: PocketsphinxStt, make: Callable[[], bytes]) -> None:
    """No sound, silence, hiss and clicks end in one final hypothesis without text."""
    hypotheses = list(recogniser.transcribe([make()]))
    assert [(hypothesis.text, hypothesis.is_final) for hypothesis in hypotheses] == [("", True)]


@pytest.mark.engine
def test_a_fragment_of_a_word(recogniser: PocketsphinxStt) -> None:
    """Two tenths of a second of speech are decoded without harm."""
    heard(recogniser, recording("cards_001.wav")[16_000:22_400])


@pytest.mark.engine
def test_chunks(recogniser: PocketsphinxStt) -> None:
    """How the utterance was cut on its way does not change what is heard."""
    pcm16 = recording("rhasspy_what_time_is_it.wav")
    chunks = (pcm16[start : start + 999] for start in range(0, len(pcm16), 999))
    assert [hypothesis.text for hypothesis in recogniser.transcribe(chunks)] == ["what time is it"]


@pytest.mark.engine
def test_partial_hypotheses(recogniser: PocketsphinxStt) -> None:
    """Speech for longer than six seconds comes out piece by piece."""
    pcm16 = recording("rhasspy_what_time_is_it.wav") + bytes(6 * 2 * SPEECH_RATE_HZ) + recording("sr_one_two_three.wav")
    hypotheses = [(hypothesis.text, hypothesis.is_final) for hypothesis in recogniser.transcribe([pcm16])]
    assert hypotheses == [("what time is it", False), ("what time is it one two three", True)]


@pytest.fixture(scope="module")
def live_recogniser() -> tuple[PocketsphinxStt, list[float]]:
    """A recogniser and its clock, which only the speech moves."""
    now_s = [0.0]
    backend = PocketsphinxStt(CONFIG, clock=lambda: now_s[0])
    backend.load()
    return backend, now_s


def shown_live(live_recogniser: tuple[PocketsphinxStt, list[float]], pcm16: bytes) -> tuple[list[str], str]:
    """Return the texts that appear while this is spoken, and the transcript."""
    backend, now_s = live_recogniser

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(pcm16), 1920):
            now_s[0] += 0.06
            yield pcm16[start : start + 1920]

    agreement = Agreement()
    *partial, final = backend.transcribe(chunks())
    texts = [agreement.add(hypothesis.text) for hypothesis in partial]
    return [text for text in texts if text is not None], final.text


@pytest.mark.engine
@pytest.mark.parametrize("row", list_recordings("command"), ids=lambda row: row["file"])
def test_a_command_appears_while_it_is_spoken(
    live_recogniser: tuple[PocketsphinxStt, list[float]], row: dict[str, str]
) -> None:
    """What appears is the beginning of the transcript, and of a command of five words and more something appears."""
    texts, final = shown_live(live_recogniser, recording(row["file"]) + bytes(19_200))
    assert all(f"{final} ".startswith(f"{text} ") for text in texts)
    assert texts or len(final.split()) < 5


@pytest.mark.engine
def test_dictation_shows_no_commands(live_recogniser: tuple[PocketsphinxStt, list[float]]) -> None:
    """Of speech that is no command nothing appears."""
    for row in list_recordings("speech"):
        if float(row["seconds"]) < 2:
            assert shown_live(live_recogniser, recording(row["file"]))[0] == []


@pytest.mark.engine
def test_a_slow_speaker_holds_nobody_up(live_recogniser: tuple[PocketsphinxStt, list[float]]) -> None:
    """While one utterance is listened to and looked at, another one is recognised."""
    backend, now_s = live_recogniser
    lamp, time_of_day = (recording(f"rhasspy_{name}.wav") for name in ("turn_on_the_lamp", "what_time_is_it"))

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(lamp), 9600):
            now_s[0] += 0.3
            yield lamp[start : start + 9600]
            if start == 5 * 9600:
                assert heard(backend, time_of_day) == "what time is it"

    assert list(backend.transcribe(chunks()))[-1].text == "turn on the lamp"


def test_beginnings() -> None:
    """Commands begin with their first words, from so many on."""
    assert beginnings_of(["turn on the lamp", "stop it", "turn on the lamp"], 3) == {"turn on the", "turn on the lamp"}


@pytest.mark.parametrize(
    ("command", "dictated", "chosen"),
    [
        ("turn on the lamp", None, "turn on the lamp"),
        ("one two three", None, "one two three"),
        ("stop", "stop", "stop"),
        ("good morning", "good mourning", "good morning"),
        ("help", "yelp", "help"),
        ("lights on", "what's that", "what's that"),
        ("light out", "in my class", "in my class"),
        ("thank you", "", ""),
        ("", "she sold the house", "she sold the house"),
        ("", "", ""),
    ],
)
def test_choice_of_the_text(command: str, dictated: str | None, chosen: str) -> None:
    """A command of three words is taken at once, a shorter one when dictation hears about the same."""

    def dictate() -> str:
        assert dictated is not None, "dictation was not needed"
        return dictated

    assert choose_text(command, dictate, CONFIG) == chosen


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [("", "", 0), ("stop", "", 1), ("", "stop", 1), ("stop", "stop", 0), ("help", "yelp", 0.25), ("ab", "ba", 1)],
)
def test_difference(text: str, reference: str, expected: float) -> None:
    """Edits per letter of the reference."""
    assert difference(text, reference) == pytest.approx(expected)


@pytest.mark.engine
def test_names_of_the_home(caplog: pytest.LogCaptureFixture) -> None:
    """What the home calls its things is expected; the log names the words that cannot be."""
    backend = PocketsphinxStt(PocketsphinxStt.Config(names=("dragon fountain", "xyzzyx lamp")))
    with caplog.at_level(logging.WARNING):
        backend.load()
    assert "no pronunciation is known of xyzzyx:" in caplog.text
    assert heard(backend, spoken("turn on the dragon fountain")) == "turn on the dragon fountain"


def test_a_sentence_without_pronunciation_is_left_out() -> None:
    """Unknown words do not spoil the other sentences."""
    (decoder,) = load_command_decoders(["turn on the lamp", "turn on the xyzzyx"])
    assert decoder.lookup_word("lamp")
    assert not decoder.lookup_word("xyzzyx")


def test_every_pronunciation_is_taken(tmp_path: Path) -> None:
    """A word that is spoken in two ways keeps both."""
    path = tmp_path / "test.dict"
    path.write_text("a AH\na(2) EY\nb B IY\n", encoding="utf-8")
    assert read_pronunciations(path, {"a", "c"}) == {"a": ["a AH\n", "a(2) EY\n"]}


def test_english_only() -> None:
    """Another language is refused in words that say what to do."""
    with pytest.raises(BackendUnavailable, match="English only, not 'fr'; choose another stt backend"):
        PocketsphinxStt(PocketsphinxStt.Config(language="fr")).load()


def test_not_loaded() -> None:
    """Speech before load() is refused."""
    with pytest.raises(BackendUnavailable, match="not loaded"):
        next(PocketsphinxStt(CONFIG).transcribe([]))


@pytest.mark.parametrize(
    "settings",
    [
        {"sure_words": 0},
        {"max_difference": 1.5},
        {"min_speech_s": -1},
        {"partial_s": -1},
        {"language_weight": 0},
        {"beam": 0.1},
    ],
)
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    """A setting that cannot work is refused with its name and what is allowed."""
    with pytest.raises(ConfigError, match=next(iter(settings))):
        build_config(PocketsphinxStt.Config, settings, "stt.pocketsphinx")
