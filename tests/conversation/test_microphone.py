"""Live microphones: sound becomes windows, windows utterances, and utterances turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.audio.windows import WINDOW_BYTES, WINDOW_MS
from app.config import ListeningConfig
from app.conversation.ears import Ears
from app.conversation.microphone import Microphone, Mode
from app.conversation.player import LIVE_RATE_HZ, Player
from app.errors import StageUnavailable
from app.messages import Sentence, SpeechChunk, StageDone, Utterance
from tests.conversation.desk import Desk, make_desk

RULES = ListeningConfig(start_ms=64, silence_ms=320, pre_roll_ms=96, interrupt_speaking_ms=160)
LOUD = 8_000
FULL_LENGTH_WINDOWS = round(1000 / WINDOW_MS)


class LoudnessDetector:
    """Takes what is loud for speech, and counts the microphones of every round."""

    name = "loudness"

    def __init__(self) -> None:
        self.rounds: list[int] = []

    def new_stream(self) -> Any:
        return object()

    def probabilities(self, streams: Sequence[Any], windows: Sequence[bytes]) -> Sequence[float]:
        self.rounds.append(len(streams))
        return [float(np.abs(np.frombuffer(window, "<i2").astype(int)).max() >= LOUD) for window in windows]


class Room:
    """A session with microphones, and ears that are asked to listen."""

    def __init__(self) -> None:
        self.desk: Desk = make_desk()
        self.detector = LoudnessDetector()
        self.ears = Ears(lambda: self.detector)
        self.is_open = True

    def microphone(
        self, rules: ListeningConfig = RULES, sample_rate: int = 16_000, mode: Mode = "hands_free"
    ) -> Microphone:
        made = Microphone(
            self.desk.session, self.admit, rules, sample_rate=sample_rate, mode=mode, clock=lambda: self.desk.now_s
        )
        self.ears.follow(made)
        return made

    def admit(self) -> None:
        if not self.is_open:
            raise StageUnavailable("too many turns are open")

    def listen(self) -> None:
        """Let the ears take all there is."""
        while self.ears.listen_once():
            pass

    def utterances(self) -> list[bytes]:
        """Return what was sent to be recognised, utterance by utterance."""
        jobs = [job for job in self.desk.stages.jobs if isinstance(job.message, Utterance)]
        return [
            b"".join([job.message.pcm16, *(chunk.pcm16 for chunk in self.desk.stages.ticket(job).chunks)])  # type: ignore[attr-defined]
            for job in jobs
        ]

    def facts(self) -> list[str]:
        return self.desk.facts()


def sound(n_windows: int, level: int, first: int = 0) -> bytes:
    """Make windows of sound that tell their places in the low bits."""
    places = (np.arange(n_windows * WINDOW_BYTES // 2) + first) % 512
    return (places + level).astype("<i2").tobytes()


@pytest.fixture
def room() -> Room:
    return Room()


def test_an_utterance_begins_and_ends(room: Room) -> None:
    """What is recognised begins before the first loud window, by the pre-roll, and ends with the silence."""
    microphone = room.microphone()
    microphone.feed(sound(10, 0) + sound(20, LOUD) + sound(20, 0))
    room.listen()
    (utterance,) = room.utterances()
    assert utterance == sound(3, 0) + sound(20, LOUD) + sound(10, 0)
    assert room.facts() == ["turn_started", "speech_started", "speech_stopped"]
    assert room.desk.stages.ticket(room.desk.stages.last(Utterance)).chunks[-1].is_last


def silence_after(room: Room, gap_windows: int) -> int:
    """Return the windows of silence that end an utterance which begins so long after the speech of another."""
    rules = replace(RULES, adaptive_silence=True, max_silence_ms=960)
    room.microphone(rules).feed(sound(20, LOUD) + sound(gap_windows, 0) + sound(20, LOUD) + sound(40, 0))
    room.listen()
    _, second = room.utterances()
    return len(second) // WINDOW_BYTES - 3 - 20


def test_a_speaker_who_was_cut_off_is_given_more_time(room: Room) -> None:
    """Who goes on soon after the end had only paused: the next pause may be longer."""
    assert silence_after(room, 20) > 10


def test_a_new_thought_teaches_nothing(room: Room) -> None:
    """Who speaks again after longer than any pause was not cut off."""
    assert silence_after(room, 31) == 11


def test_frames_of_any_length_are_the_same(room: Room) -> None:
    """However the sound is cut into frames, the same is heard."""
    whole = sound(10, 0) + sound(20, LOUD) + sound(20, 0)
    microphone = room.microphone()
    for start in range(0, len(whole), 334):
        microphone.feed(whole[start : start + 334])
        room.listen()
    assert room.utterances() == [sound(3, 0) + sound(20, LOUD) + sound(10, 0)]


def test_speech_goes_to_be_recognised_while_it_is_spoken(room: Room) -> None:
    """The recogniser has most of an utterance before its end."""
    room.microphone().feed(sound(10, 0) + sound(40, LOUD))
    room.listen()
    (utterance,) = room.utterances()
    assert len(utterance) >= (3 + 40 - 6) * WINDOW_BYTES
    assert not any(chunk.is_last for chunk in room.desk.stages.ticket(room.desk.stages.last(Utterance)).chunks)


def test_two_utterances_are_two_turns(room: Room) -> None:
    """The second has its own pre-roll."""
    microphone = room.microphone()
    for _ in range(2):
        microphone.feed(sound(10, 0) + sound(20, LOUD) + sound(20, 0))
    room.listen()
    assert room.utterances() == [sound(3, 0) + sound(20, LOUD) + sound(10, 0)] * 2


def test_closing_the_microphone_ends_the_utterance(room: Room) -> None:
    """Everything that was fed before is heard, to the last sample."""
    microphone = room.microphone()
    microphone.feed(sound(10, 0) + sound(5, LOUD) + sound(1, LOUD)[:100])
    microphone.finish()
    room.listen()
    assert room.utterances() == [sound(3, 0) + sound(5, LOUD) + sound(1, LOUD)[:100]]
    assert room.facts()[-1] == "speech_stopped"
    assert len(room.ears) == 0


def test_a_client_that_leaves_in_mid_utterance_is_not_answered(room: Room) -> None:
    """Half a sentence is worth no answer that nobody hears."""
    microphone = room.microphone()
    microphone.feed(sound(10, 0) + sound(5, LOUD))
    room.listen()
    microphone.abandon()
    room.listen()
    assert "turn_cancelled" in room.facts()
    assert len(room.ears) == 0


def test_what_has_not_been_listened_to_is_abandoned_too(room: Room) -> None:
    """Nobody is answered who has hung up."""
    microphone = room.microphone()
    microphone.feed(sound(20, LOUD) + sound(20, 0))
    microphone.abandon()
    room.listen()
    room.listen()
    assert room.facts() == []
    assert len(room.ears) == 0


def test_a_microphone_that_falls_silent_ends_the_utterance(room: Room) -> None:
    """When nothing comes any more, what was said until then is answered; what comes later is heard anew."""
    microphone = room.microphone()
    microphone.feed(sound(10, 0) + sound(5, LOUD))
    room.listen()
    room.desk.now_s += 1.9
    room.listen()
    assert "speech_stopped" not in room.facts()
    room.desk.now_s += 0.2
    room.listen()
    assert room.utterances() == [sound(3, 0) + sound(5, LOUD)]
    microphone.feed(sound(20, LOUD) + sound(20, 0))
    room.listen()
    assert len(room.utterances()) == 2


def test_push_to_talk_needs_no_detector(room: Room) -> None:
    """All that is said while the button is held is one utterance, pauses too."""
    microphone = room.microphone(mode="push_to_talk")
    spoken = sound(5, LOUD) + sound(40, 0) + sound(5, LOUD)
    microphone.feed(spoken)
    microphone.finish()
    room.listen()
    assert room.utterances() == [spoken]


def test_a_button_that_is_not_let_go_ends_an_utterance_that_is_too_long(room: Room) -> None:
    """A device whose button is stuck is answered once, and the rest is not heard."""
    microphone = room.microphone(replace(RULES, max_utterance_s=1), mode="push_to_talk")
    microphone.feed(sound(3 * FULL_LENGTH_WINDOWS, LOUD))
    microphone.finish()
    room.listen()
    (utterance,) = room.utterances()
    assert len(utterance) / WINDOW_BYTES == pytest.approx(FULL_LENGTH_WINDOWS, abs=1)
    assert room.facts() == ["turn_started", "speech_started", "speech_stopped"]
    assert len(room.ears) == 0


def test_a_push_that_is_refused_is_refused_once(room: Room) -> None:
    """And not for every window of it."""
    room.is_open = False
    microphone = room.microphone(mode="push_to_talk")
    microphone.feed(sound(20, LOUD))
    room.listen()
    room.is_open = True
    microphone.feed(sound(20, LOUD))
    microphone.finish()
    room.listen()
    assert room.facts() == ["speech_refused"]


def test_a_button_pushed_in_silence_is_no_turn(room: Room) -> None:
    """Without a sample there is nothing to answer."""
    room.microphone(mode="push_to_talk").finish()
    room.listen()
    assert room.facts() == []


def test_other_rates_become_the_rate_of_speech(room: Room) -> None:
    """A microphone of 48 kHz says three times as many samples, which are heard as long."""
    microphone = room.microphone(sample_rate=48_000)
    microphone.feed(bytes(48_000) + (np.full(48_000, LOUD * 2)).astype("<i2").tobytes() + bytes(96_000))
    room.listen()
    (utterance,) = room.utterances()
    assert len(utterance) / WINDOW_BYTES == pytest.approx(3 + FULL_LENGTH_WINDOWS + 10, abs=2)


def test_all_microphones_are_judged_at_once(room: Room) -> None:
    """One run of the detector serves every microphone that has a window."""
    for _ in range(3):
        room.microphone().feed(sound(2, 0))
    room.listen()
    assert [n for n in room.detector.rounds if n] == [3, 3]


def test_a_refused_utterance_is_told(room: Room) -> None:
    """When the service is full, what is being said is not heard, and the next utterance is."""
    microphone = room.microphone()
    room.is_open = False
    microphone.feed(sound(10, 0) + sound(20, LOUD) + sound(20, 0))
    room.listen()
    assert room.facts() == ["speech_refused"]
    room.is_open = True
    microphone.feed(sound(20, LOUD) + sound(20, 0))
    room.listen()
    assert len(room.utterances()) == 1


# ---- over a reply ----------------------------------------------------------------------------------------------------


def let_it_speak(room: Room, seconds: float) -> None:
    """Have a reply played to the live client of the room."""
    session = room.desk.session
    player = Player(session.outlet, session.lock, 30.0)
    session.barge_in.take_seat(player, lambda: None)
    session.say_text("hello")
    for job in room.desk.stages.answer("A long story."):
        assert isinstance(job.message, Sentence)
        chunk = SpeechChunk(job.header, 0, bytes(round(seconds * LIVE_RATE_HZ) * 2), LIVE_RATE_HZ)
        room.desk.stages.give(job, chunk, StageDone(job.header, "tts"))
    while player.take(room.desk.now_s) is not None:
        pass


@pytest.mark.parametrize(("n_loud", "pauses"), [(4, False), (5, True)])
def test_a_reply_that_is_spoken_has_its_own_sensitivity(room: Room, n_loud: int, pauses: bool) -> None:
    """It takes interrupt_speaking_ms of speech to interrupt it: five windows here, where two begin an utterance."""
    let_it_speak(room, 10)
    room.microphone().feed(sound(5, 0) + sound(n_loud, LOUD) + sound(20, 0))
    room.listen()
    assert ("reply_paused" in room.facts()) is pauses


def test_a_reply_may_be_uninterruptible(room: Room) -> None:
    """With 0 the microphone is not heard while the reply is spoken, nor what it heard then afterwards."""
    let_it_speak(room, 10)
    microphone = room.microphone(replace(RULES, interrupt_speaking_ms=0))
    microphone.feed(sound(5, 0) + sound(40, LOUD))
    room.listen()
    room.desk.now_s += 11
    microphone.feed(sound(1, LOUD) + sound(20, 0))
    room.listen()
    assert room.utterances() == []


def test_thinking_has_its_own_sensitivity(room: Room) -> None:
    """With 0 a reply that is thought of is not interrupted either."""
    room.desk.session.say_text("hello")
    room.microphone(replace(RULES, interrupt_thinking_ms=0)).feed(sound(40, LOUD) + sound(20, 0))
    room.listen()
    assert room.utterances() == []
    room.microphone(RULES).feed(sound(40, LOUD) + sound(20, 0))
    room.listen()
    assert len(room.utterances()) == 1


def test_who_asks_is_told_when_all_was_heard(room: Room) -> None:
    """The call comes behind what the sound before it began, and not before it was listened to."""
    microphone, told = room.microphone(), []
    microphone.feed(sound(20, LOUD) + bytes(100))
    microphone.when_heard(lambda: told.append(room.facts()))
    assert not told
    room.listen()
    assert told == [["turn_started", "speech_started"]]


def test_a_finished_microphone_was_heard(room: Room) -> None:
    """The call comes behind the end of the utterance, and at once where the microphone is done."""
    microphone, told = room.microphone(), []
    microphone.feed(sound(20, LOUD))
    microphone.finish()
    microphone.when_heard(lambda: told.append(room.facts()[-1]))
    room.listen()
    assert told == ["speech_stopped"]
    microphone.when_heard(lambda: told.append("again"))
    assert told[1:] == ["again"]
