"""Speech over a reply: it is silent at once, and ends or goes on when it is known what was said."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from app.conversation.barge_in import Phase
from app.conversation.hearing import Hearing
from app.conversation.player import LIVE_RATE_HZ, Player, Sound, TurnOver
from app.conversation.turns import Turn
from app.messages import Prompt, Sentence, SpeechChunk, StageDone, Transcript, Utterance
from app.pipeline.jobs import HubJob
from tests.conversation.desk import Desk, make_desk
from tests.conversation.stages import SPEECH

AHEAD_S = 2.0


def ramp(seconds: float, first: int = 0) -> bytes:
    """Make audio at LIVE_RATE_HZ in which every sample tells its place."""
    return ((np.arange(round(seconds * LIVE_RATE_HZ)) + first) % 30_000).astype("<i2").tobytes()


@dataclass
class Listener:
    """A live client at the table, who hears everything at its time."""

    desk: Desk
    player: Player
    sounds: list[Sound] = field(default_factory=list)
    over: list[Turn] = field(default_factory=list)

    def take(self) -> None:
        """Take whatever there is now."""
        while (step := self.player.take(self.desk.now_s)) is not None:
            if isinstance(step, TurnOver):
                self.over.append(step.turn)
            else:
                self.sounds.append(step)

    def wait(self, seconds: float) -> None:
        """Let time pass, taking what comes as early as it comes."""
        until_s = self.desk.now_s + seconds
        while self.desk.now_s < until_s:
            self.take()
            wait_s = self.player.wait_s(self.desk.now_s)
            self.desk.now_s = min(until_s, self.desk.now_s + (seconds if wait_s is None else wait_s))
        self.take()

    @property
    def sent(self) -> bytes:
        return b"".join(sound.pcm16 for sound in self.sounds)

    def answer(self, *sentences: tuple[str, float], said: str = "hello") -> Turn:
        """Let typed words be answered; each sentence takes so many seconds to speak."""
        turn = self.desk.session.say_text(said)
        for job, (_, seconds) in zip(self.desk.stages.answer(*(text for text, _ in sentences)), sentences, strict=True):
            self.speak(job, ramp(seconds))
        return turn

    def speak(self, job: HubJob, pcm16: bytes) -> None:
        assert isinstance(job.message, Sentence)
        chunk = SpeechChunk(job.header, job.message.index, pcm16, LIVE_RATE_HZ)
        self.desk.stages.give(job, chunk, StageDone(job.header, "tts"))

    def begin_to_speak(self) -> Hearing:
        """Speak into the microphone."""
        hearing = self.desk.session.hear(takes_over=True)
        hearing.feed(SPEECH)
        return hearing

    def say(self, hearing: Hearing, text: str) -> None:
        """Finish speaking, and be understood."""
        hearing.finish()
        self.desk.stages.hear(self.desk.stages.last(Utterance), text)


@pytest.fixture
def listener() -> Listener:
    desk = make_desk()
    player = Player(desk.session.outlet, desk.session.lock, AHEAD_S)
    desk.session.barge_in.take_seat(player, lambda: None)
    return Listener(desk, player)


# ---- playing ---------------------------------------------------------------------------------------------------------


def test_sound_is_sent_a_little_ahead(listener: Listener) -> None:
    """What is sent is never more than the limit, and a piece, ahead of what is heard."""
    listener.answer(("A long story.", 10.0))
    listener.take()
    assert AHEAD_S <= len(listener.sent) / 2 / LIVE_RATE_HZ <= AHEAD_S + 0.2
    listener.wait(3.0)
    assert 3.0 + AHEAD_S <= len(listener.sent) / 2 / LIVE_RATE_HZ <= 3.0 + AHEAD_S + 0.2


def test_everything_is_played_in_order(listener: Listener) -> None:
    """The pieces together are the sentences, and the turn is over when the last was heard."""
    turn = listener.answer(("One.", 0.5), ("Two.", 0.3))
    listener.wait(0.79)
    assert listener.over == []
    listener.wait(0.02)
    assert listener.sent == ramp(0.5) + ramp(0.3)
    assert [(s.segment.index, s.chunk_index) for s in listener.sounds] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert listener.over == [turn]
    assert turn.spoken_text == "One. Two."
    assert listener.desk.session.outlet.is_empty


def test_a_sentence_counts_as_heard_when_it_was_played(listener: Listener) -> None:
    """Sent is not heard."""
    turn = listener.answer(("One.", 0.5), ("Two.", 0.5))
    listener.wait(0.49)
    assert not turn.segments[0].is_delivered
    listener.wait(0.02)
    assert turn.segments[0].is_delivered


def test_sound_that_is_still_being_made_is_played(listener: Listener) -> None:
    """A sentence is played from its first chunk on."""
    listener.desk.session.say_text("hello")
    (job,) = listener.desk.stages.answer("A story.")
    listener.desk.stages.give(job, SpeechChunk(job.header, 0, ramp(0.1), LIVE_RATE_HZ))
    listener.wait(0.3)
    assert listener.sent == ramp(0.1)
    listener.desk.stages.give(job, SpeechChunk(job.header, 0, ramp(0.1, 2400), LIVE_RATE_HZ))
    listener.speak(job, ramp(0.1, 4800))
    listener.wait(0.3)
    assert listener.sent == ramp(0.3)
    assert len(listener.over) == 1


def test_other_rates_become_the_live_rate(listener: Listener) -> None:
    """A voice of 16 kHz is heard as long as it speaks."""
    listener.desk.session.say_text("hello")
    (job,) = listener.desk.stages.answer("A story.")
    listener.desk.stages.speak(job, SPEECH, SPEECH)
    listener.wait(1.0)
    assert len(listener.sent) == len(SPEECH + SPEECH) * 3 // 2


def test_an_announcement_is_played(listener: Listener) -> None:
    """What nobody asked for, such as a timer, is heard too."""
    turn = listener.desk.session.speak("Your timer is done.")
    listener.speak(listener.desk.stages.last(Sentence), ramp(0.2))
    listener.wait(0.3)
    assert (listener.sent, listener.over) == (ramp(0.2), [turn])


def test_a_reply_that_takes_long_to_hear_is_heard_whole(listener: Listener) -> None:
    """Its speech is made long before, and is kept while it is heard; so is what waits behind it."""
    story = listener.answer(*((f"Sentence {n}.", 10.0) for n in range(6)))
    timer = listener.desk.session.speak("Your timer is done.")
    listener.speak(listener.desk.stages.last(Sentence), ramp(10.0))
    for _ in range(72):
        listener.wait(1.0)
        listener.desk.session.tick(listener.desk.now_s)
    assert listener.over == [story, timer]
    assert len(listener.sent) == 70 * 2 * LIVE_RATE_HZ


def test_every_end_is_told(listener: Listener) -> None:
    """Of an upload that broke off, and of a reply that a poller has begun to take and never settled."""
    upload = listener.desk.session.hear()
    upload.abandon("bad-upload")
    listener.take()
    assert listener.over == [upload.turn]
    turn = listener.answer(("Hello.", 0.2))
    listener.desk.session.outlet.claim(0)
    listener.wait(31.0)
    listener.desk.session.tick(listener.desk.now_s)
    listener.take()
    assert listener.over == [upload.turn, turn]


def test_a_client_that_leaves_leaves_the_rest(listener: Listener) -> None:
    """The next reader of the session hears the sentence that was cut off, and those after it."""
    listener.answer(("One.", 0.5), ("Two.", 0.5))
    listener.wait(0.6)
    listener.desk.session.barge_in.leave_seat(listener.player)
    assert [listener.desk.fetch(), listener.desk.fetch()] == ["Two.", "end"]


def test_a_newer_client_takes_the_seat(listener: Listener) -> None:
    """The older one is told, and plays no more."""
    session, told = listener.desk.session, []
    newer = Player(session.outlet, session.lock, AHEAD_S)
    session.barge_in.take_seat(newer, lambda: told.append("newer"))
    session.barge_in.take_seat(Player(session.outlet, session.lock, AHEAD_S), lambda: told.append("newest"))
    assert told == ["newer"]
    session.barge_in.leave_seat(newer)
    assert session.barge_in.player is not None


# ---- words -----------------------------------------------------------------------------------------------------------


def test_speech_silences_the_reply_at_once(listener: Listener) -> None:
    """Nothing more is sent from the moment on in which somebody speaks."""
    listener.answer(("A long story.", 10.0))
    listener.wait(1.0)
    listener.begin_to_speak()
    before = len(listener.sent)
    listener.wait(5.0)
    assert len(listener.sent) == before
    assert listener.desk.session.barge_in.phase() is not Phase.SPEAKING
    assert "reply_paused" in listener.desk.facts()


def test_words_cancel_the_reply(listener: Listener) -> None:
    """The reply ends, its work is dropped, and the new words are answered."""
    old = listener.answer(("One two three four.", 4.0), ("Five.", 1.0))
    listener.wait(2.1)
    hearing = listener.begin_to_speak()
    listener.say(hearing, "no, tomorrow")
    listener.wait(0.1)
    assert old.end is not None
    assert listener.over == [old]
    assert listener.desk.stages.last(Prompt).message.messages[-1].text == "no, tomorrow"  # type: ignore[attr-defined]
    for job in listener.desk.stages.answer("Tomorrow then."):
        listener.speak(job, ramp(0.5, 100))
    before = len(listener.sounds)
    listener.wait(1.0)
    assert b"".join(sound.pcm16 for sound in listener.sounds[before:]) == ramp(0.5, 100)
    assert listener.over == [old, hearing.turn]


def test_what_came_after_the_speech_began_is_not_cancelled(listener: Listener) -> None:
    """A timer that rings while somebody speaks is heard behind the answer."""
    hearing = listener.begin_to_speak()
    timer = listener.desk.session.speak("Your timer is done.")
    listener.say(hearing, "what time is it")
    for job in listener.desk.stages.answer("It is ten."):
        listener.speak(job, ramp(0.5))
    listener.speak(listener.desk.stages.last(Sentence), ramp(0.3))
    listener.wait(1.0)
    assert listener.over == [hearing.turn, timer]
    assert timer.cut_short == ""


def test_a_sentence_of_no_length_may_be_cut_off(listener: Listener) -> None:
    """A voice that gives one sample and then nothing."""
    listener.desk.session.say_text("hello")
    (job,) = listener.desk.stages.answer("Hm.")
    listener.desk.stages.give(job, SpeechChunk(job.header, 0, b"\1\2", LIVE_RATE_HZ))
    listener.wait(0.1)
    hearing = listener.begin_to_speak()
    listener.desk.stages.give(job, StageDone(job.header, "tts"))
    listener.say(hearing, "what time is it")
    listener.take()
    assert [turn.spoken_text for turn in listener.over] == ["Hm. …"]


def test_the_history_keeps_what_was_heard(listener: Listener) -> None:
    """A sentence that was cut off half way is remembered half, one that was not begun not at all."""
    old = listener.answer(("One two three four.", 4.0), ("Five.", 1.0))
    listener.wait(2.1)
    listener.say(listener.begin_to_speak(), "no")
    assert old.spoken_text == "One two …"
    prompt = listener.desk.stages.last(Prompt).message
    assert isinstance(prompt, Prompt)
    assert [m.text for m in prompt.messages[1:]] == ["hello", "One two …", "no"]
    delivered = [e.fact for e in listener.desk.session.log.read(0, 0) if e.name == "segment_delivered"]
    assert [(fact.index, fact.heard_s) for fact in delivered] == [(0, pytest.approx(2.1, abs=0.01))]  # type: ignore[attr-defined]


def test_nothing_is_remembered_of_a_reply_that_was_not_begun(listener: Listener) -> None:
    """Interrupted while it is thought of, a reply has said nothing."""
    old = listener.desk.session.say_text("hello")
    hearing = listener.begin_to_speak()
    listener.say(hearing, "wait")
    assert old.spoken_text == ""
    assert listener.desk.stages.ticket(listener.desk.stages.jobs[0]).is_cancelled
    listener.wait(0.1)
    assert listener.over == [old]


def test_words_that_are_still_spoken_cancel_the_reply(listener: Listener) -> None:
    """Two words of a partial transcript are enough; one may be made of a cough."""
    old = listener.answer(("A long story.", 10.0))
    listener.wait(1.0)
    hearing = listener.begin_to_speak()
    job = listener.desk.stages.last(Utterance)
    listener.desk.stages.give(job, Transcript(job.header, "no", is_final=False))
    assert old.end is None or not old.is_heard_out
    listener.desk.stages.give(job, Transcript(job.header, "no wait", is_final=False))
    assert old.is_heard_out
    listener.say(hearing, "no wait a moment")
    for answer in listener.desk.stages.answer("Yes?"):
        listener.speak(answer, ramp(0.2))
    listener.wait(1.0)
    assert listener.over == [old, hearing.turn]


# ---- no words --------------------------------------------------------------------------------------------------------


def test_a_cough_lets_the_reply_go_on(listener: Listener) -> None:
    """From the very sample at which it was cut; and nothing is lost or said twice."""
    old = listener.answer(("A long story.", 3.0), ("The end.", 0.5))
    listener.wait(1.0)
    hearing = listener.begin_to_speak()
    n_before = len(listener.sounds)
    listener.wait(0.5)
    listener.say(hearing, "")
    listener.wait(5.0)
    again = listener.sounds[n_before:]
    assert b"".join(s.pcm16 for s in again) == ramp(3.0)[2 * LIVE_RATE_HZ :] + ramp(0.5)
    assert again[0].chunk_index == 0
    assert listener.over == [hearing.turn, old]
    assert old.spoken_text == "A long story. The end."
    assert listener.desk.facts().count("reply_resumed") == 1


def test_two_coughs_cost_nothing_either(listener: Listener) -> None:
    """A second cough before the first is understood keeps the reply silent until both are."""
    old = listener.answer(("A long story.", 3.0))
    listener.wait(1.0)
    first = listener.begin_to_speak()
    first_job = listener.desk.stages.last(Utterance)
    first.finish()
    second = listener.begin_to_speak()
    n_before = len(listener.sounds)
    listener.desk.stages.hear(first_job, "")
    listener.wait(0.5)
    assert len(listener.sounds) == n_before
    listener.say(second, "")
    listener.wait(4.0)
    assert b"".join(s.pcm16 for s in listener.sounds[n_before:]) == ramp(3.0)[2 * LIVE_RATE_HZ :]
    assert listener.over[-1] is old


def test_a_cough_while_it_thinks_changes_nothing(listener: Listener) -> None:
    """The reply is spoken when it is ready."""
    listener.desk.session.say_text("hello")
    hearing = listener.begin_to_speak()
    for job in listener.desk.stages.answer("Good day."):
        listener.speak(job, ramp(0.2))
    listener.wait(0.5)
    assert listener.sounds == []
    listener.desk.stages.hear(listener.desk.stages.jobs[1], "")
    hearing.finish()
    listener.wait(0.5)
    assert listener.sent == ramp(0.2)


def test_a_failed_recognition_lets_the_reply_go_on(listener: Listener) -> None:
    """When it cannot be known what was said, the apology is heard and then the rest."""
    old = listener.answer(("A long story.", 2.0))
    listener.wait(1.0)
    hearing = listener.begin_to_speak()
    hearing.finish()
    listener.desk.stages.fail(listener.desk.stages.last(Utterance), "stt")
    listener.wait(4.0)
    assert [turn.id for turn in listener.over] == [hearing.turn.id, old.id]
    assert listener.sounds[-1].turn is old


def test_speech_over_an_apology_keeps_the_reply_below(listener: Listener) -> None:
    """Two replies are cut, the one over the other: both go on where they were."""
    old = listener.answer(("A long story.", 2.0))
    listener.wait(1.0)
    unheard = listener.begin_to_speak()
    unheard.finish()
    listener.desk.stages.fail(listener.desk.stages.last(Utterance), "stt")
    listener.wait(0.01)
    assert listener.sounds[-1].turn is unheard.turn
    cough = listener.begin_to_speak()
    paused = [e.turn_id for e in listener.desk.session.log.read(0, 0) if e.name == "reply_paused"]
    assert paused == [old.id, unheard.turn.id]
    listener.say(cough, "")
    listener.wait(4.0)
    assert listener.over == [cough.turn, unheard.turn, old]
    assert old.segments[0].is_delivered
    assert listener.desk.session.outlet.is_empty


# ---- the echo --------------------------------------------------------------------------------------------------------


def test_the_replys_own_echo_is_no_turn(listener: Listener) -> None:
    """What the microphone hears of the reply is not answered, and the reply goes on."""
    old = listener.answer(("The weather is sunny with a light wind.", 3.0))
    listener.wait(1.0)
    hearing = listener.begin_to_speak()
    listener.say(hearing, "the weather is sunny with a light wind")
    listener.wait(4.0)
    assert listener.over == [hearing.turn, old]
    assert hearing.turn.heard == ""
    assert "echo_heard" in listener.desk.facts()
    assert old.spoken_text == "The weather is sunny with a light wind."


def test_an_echo_makes_the_microphone_deaf_for_this_reply(listener: Listener) -> None:
    """A device that hears itself would stop again and again; the next reply may be interrupted."""
    listener.answer(("The weather is sunny with a light wind.", 3.0))
    listener.wait(1.0)
    assert listener.desk.session.barge_in.phase() is Phase.SPEAKING
    listener.say(listener.begin_to_speak(), "the weather is sunny with a light wind")
    listener.wait(0.1)
    assert listener.desk.session.barge_in.phase() is Phase.ECHOING
    listener.wait(4.0)
    assert listener.desk.session.barge_in.phase() is Phase.IDLE
    listener.answer(("It will rain.", 3.0))
    listener.wait(0.5)
    assert listener.desk.session.barge_in.phase() is Phase.SPEAKING


# ---- other ends ------------------------------------------------------------------------------------------------------


def test_an_order_to_stop_is_not_undone(listener: Listener) -> None:
    """`interrupt` ends the reply for good."""
    old = listener.answer(("A long story.", 3.0))
    listener.wait(1.0)
    assert listener.desk.session.interrupt("interrupted") == [old]
    listener.wait(3.0)
    assert listener.over == [old]
    listener.answer(("Again.", 0.2))
    before = len(listener.sounds)
    listener.wait(0.5)
    assert b"".join(s.pcm16 for s in listener.sounds[before:]) == ramp(0.2)


def test_what_a_poller_was_given_of_a_cancelled_reply_stays_cancelled(listener: Listener) -> None:
    """It is not heard when the poller's connection breaks after the end."""
    old = listener.answer(("A long story.", 3.0))
    claim = listener.desk.session.outlet.claim(0)
    assert claim is not None
    listener.desk.session.interrupt("interrupted")
    claim.settle(False)
    listener.wait(1.0)
    assert listener.over == [old]
    assert listener.sent == b""
    assert old.spoken_text == ""


def test_phases(listener: Listener) -> None:
    """A microphone is told what it would interrupt."""
    barge_in = listener.desk.session.barge_in
    assert barge_in.phase() is Phase.IDLE
    listener.desk.session.say_text("hello")
    assert barge_in.phase() is Phase.THINKING
    for job in listener.desk.stages.answer("Good day."):
        listener.speak(job, ramp(0.5))
    listener.take()
    assert barge_in.phase() is Phase.SPEAKING
    listener.wait(0.6)
    assert barge_in.phase() is Phase.IDLE
