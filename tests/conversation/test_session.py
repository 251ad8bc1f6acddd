"""A session's turns, with scripted stages and an injected clock."""

from __future__ import annotations

import pytest

from app.errors import RateLimited, TurnNotFound
from app.messages import (
    Action,
    Analysis,
    Mark,
    Prompt,
    Sentence,
    SpeechChunk,
    StageDone,
    Transcript,
    Utterance,
)
from app.pipeline.jobs import Redone
from tests.conversation.desk import HUM, Desk, make_desk
from tests.conversation.stages import SPEECH


@pytest.fixture
def desk() -> Desk:
    return make_desk()


def test_a_whole_turn(desk: Desk) -> None:
    """An utterance becomes a transcript, a prompt, sentences, audio and one TurnDone, in that order."""
    turn = desk.answered("One.", "Two.")
    assert desk.facts() == [
        "turn_started", "final_transcript", "sentence_ready", "sentence_ready", "reply_written",
        "speech_ready", "segment_ready", "speech_ready", "segment_ready", "turn_done",
    ]  # fmt: skip
    assert [desk.fetch(), desk.fetch(), desk.fetch(), desk.fetch()] == ["One.", "Two.", "end", "nothing"]
    assert desk.ended == [turn]


def test_a_silent_upload_ends_at_once(desk: Desk) -> None:
    """Silence never reaches a stage; pollers are told that the turn is over."""
    desk.session.say_heard(bytes(3200))
    assert desk.stages.jobs == []
    assert desk.facts() == ["turn_started", "final_transcript", "turn_done"]
    assert desk.fetch() == "end"


def test_speech_without_words_ends_at_once(desk: Desk) -> None:
    """An empty transcript asks no language model."""
    desk.heard("")
    assert desk.facts()[-1] == "turn_done"
    assert desk.fetch() == "end"


def test_utterances_wait_for_their_turn(desk: Desk) -> None:
    """A second upload starts when the first turn has ended, and its prompt knows the first."""
    first = desk.session.say_heard(SPEECH)
    desk.session.say_heard(SPEECH)
    assert len(desk.stages.jobs) == 1
    desk.stages.hear(desk.stages.last(Utterance), "first")
    for job in desk.stages.answer("Answer one."):
        desk.stages.speak(job, HUM)
    assert first.end is not None
    desk.stages.hear(desk.stages.last(Utterance), "second")
    prompt = desk.stages.last(Prompt).message
    assert isinstance(prompt, Prompt)
    assert [(m.role, m.text) for m in prompt.messages] == [
        ("system", "Be brief."), ("user", "first"), ("assistant", "Answer one."), ("user", "second"),
    ]  # fmt: skip


def test_too_many_waiting_utterances(desk: Desk) -> None:
    """The turn in progress and two behind it are the limit of this session."""
    for _ in range(3):
        desk.session.say_heard(SPEECH)
    with pytest.raises(RateLimited, match="wait already"):
        desk.session.say_heard(SPEECH)


def test_speech_that_arrives_in_pieces(desk: Desk) -> None:
    """Recognition starts with the first piece and is told of the last."""
    hearing = desk.session.hear()
    job = desk.stages.last(Utterance)
    hearing.feed(SPEECH)
    hearing.feed(b"")
    hearing.finish(SPEECH[:2])
    assert job.message == Utterance(job.header, b"", is_complete=False)
    assert [(c.pcm16, c.is_last) for c in desk.stages.ticket(job).chunks] == [(SPEECH, False), (SPEECH[:2], True)]
    assert hearing.turn.heard_s == pytest.approx(0.1000625)


def test_pieces_of_a_waiting_turn_are_kept(desk: Desk) -> None:
    """Speech of a turn that cannot start yet is handed over whole when it can."""
    desk.session.say_heard(SPEECH)
    hearing = desk.session.hear()
    hearing.feed(b"\x01\x00")
    hearing.finish(b"\x02\x00")
    desk.stages.hear(desk.stages.last(Utterance), "")
    job = desk.stages.last(Utterance)
    assert job.message == Utterance(job.header, b"\x01\x00\x02\x00", is_complete=True)


def test_an_upload_that_breaks_off_is_forgotten(desk: Desk) -> None:
    """Nobody is told of a turn whose utterance never became complete."""
    hearing = desk.session.hear()
    hearing.feed(SPEECH)
    hearing.abandon("upload-broken")
    assert desk.facts()[-1] == "turn_cancelled"
    assert desk.fetch() == "nothing"
    assert desk.stages.tickets[0].is_cancelled


def test_partial_transcripts_are_events(desk: Desk) -> None:
    """Partial transcripts show in the log and start nothing."""
    desk.session.say_heard(SPEECH)
    job = desk.stages.last(Utterance)
    desk.stages.give(job, Transcript(job.header, "hel", is_final=False))
    assert desk.facts()[-1] == "partial_transcript"
    assert len(desk.stages.jobs) == 1


def test_analysis_may_come_after_the_end(desk: Desk) -> None:
    """Analysis is an event whenever it comes; a turn never waits for it."""
    turn = desk.answered("One.")
    job = desk.stages.jobs[0]
    desk.stages.give(job, Analysis(job.header, "prosody", {"pitch_hz": None}), StageDone(job.header, "analysis"))
    assert turn.end is not None
    assert desk.facts()[-1] == "analysis_ready"


def test_a_failed_analysis_harms_nothing(desk: Desk) -> None:
    """An analyser that fails is an event, not the end of the turn."""
    desk.session.say_heard(SPEECH)
    desk.stages.fail(desk.stages.last(Utterance), "analysis")
    assert desk.facts()[-1] == "stage_trouble"


@pytest.mark.parametrize("stage", ["stt", "llm"])
def test_a_failed_stage_is_apologised_for(desk: Desk, stage: str) -> None:
    """When the turn cannot be answered the device hears the apology, then the end with the code."""
    turn = desk.session.say_heard(SPEECH)
    if stage == "llm":
        desk.stages.hear(desk.stages.last(Utterance), "hello")
    desk.stages.fail(desk.stages.jobs[-1], stage, "backend-timeout")
    assert desk.fetch() == "Sorry."
    claim = desk.session.outlet.claim(0)
    assert claim is not None
    assert claim.turn is turn
    assert getattr(turn.end, "code", "") == "backend-timeout"


def test_a_reply_that_breaks_off_is_heard_as_far_as_it_went(desk: Desk) -> None:
    """Sentences that were written before the language model failed are spoken, then the apology."""
    turn = desk.heard()
    job = desk.stages.last(Prompt)
    desk.stages.give(job, Sentence(job.header, 0, "One."))
    voice = desk.stages.jobs[-1]
    desk.stages.fail(job, "llm", "backend-unavailable")
    assert turn.end is None
    desk.stages.speak(voice, HUM)
    assert [desk.fetch(), desk.fetch(), desk.fetch()] == ["One.", "Sorry.", "end"]
    assert getattr(turn.end, "code", "") == "backend-unavailable"


def test_one_sentence_that_cannot_be_spoken_is_skipped(desk: Desk) -> None:
    """The rest of the reply is spoken."""
    desk.heard()
    jobs = desk.stages.answer("One.", "Two.", "Three.")
    desk.stages.speak(jobs[0], HUM)
    desk.stages.fail(jobs[1], "tts")
    desk.stages.speak(jobs[2], HUM)
    assert "sentence_skipped" in desk.facts()
    assert [desk.fetch(), desk.fetch(), desk.fetch()] == ["One.", "Three.", "end"]


def test_a_reply_without_any_audio_fails(desk: Desk) -> None:
    """When no sentence can be spoken the turn has failed."""
    desk.heard()
    for job in desk.stages.answer("One.", "Two."):
        desk.stages.fail(job, "tts")
    assert desk.facts()[-3:] == ["turn_failed", "sentence_ready", "segment_ready"]
    assert desk.fetch() == "Sorry."


def test_recognition_that_gives_nothing_fails(desk: Desk) -> None:
    """A recogniser that ends without a final transcript does not strand the turn."""
    turn = desk.session.say_heard(SPEECH)
    job = desk.stages.last(Utterance)
    desk.stages.give(job, StageDone(job.header, "stt"))
    assert getattr(turn.end, "code", "") == "no-transcript"


def test_a_full_stage_fails_the_turn(desk: Desk) -> None:
    """A stage that takes no more work ends the turn at once instead of leaving it open."""
    turn = desk.session.say_heard(SPEECH)
    desk.stages.refuses = True
    desk.stages.hear(desk.stages.last(Utterance), "hello")
    assert getattr(turn.end, "code", "") == "overloaded"


# ---- interruption ----------------------------------------------------------------------------------------------------


def test_interrupting_drops_what_was_not_delivered(desk: Desk) -> None:
    """Pollers get the end at once, work under way is cancelled, and the history knows only what was heard."""
    desk.heard("question")
    jobs = desk.stages.answer("One.", "Two.")
    desk.stages.speak(jobs[0], HUM)
    assert desk.fetch() == "One."
    desk.session.interrupt("interrupted")
    assert desk.stages.ticket(jobs[1]).is_cancelled
    assert desk.fetch() == "end"
    desk.session.say_text("go on")
    prompt = desk.stages.last(Prompt).message
    assert isinstance(prompt, Prompt)
    assert [m.text for m in prompt.messages[1:]] == ["question", "One.", "go on"]


def test_a_reply_that_is_done_but_not_heard_can_be_interrupted(desk: Desk) -> None:
    """What waits to be fetched is dropped, and was never said as far as the history knows."""
    desk.answered("One.", "Two.")
    assert desk.fetch() == "One."
    desk.session.interrupt("interrupted")
    assert desk.fetch() == "end"
    desk.session.say_text("go on")
    prompt = desk.stages.last(Prompt).message
    assert isinstance(prompt, Prompt)
    assert [m.text for m in prompt.messages[1:]] == ["hello", "One.", "go on"]


def test_a_superseded_turn_is_not_told_of(desk: Desk) -> None:
    """An upload that interrupts leaves pollers waiting for its own reply, not for the old end."""
    desk.heard("old")
    desk.session.interrupt("new-utterance", is_superseded=True)
    assert desk.fetch() == "nothing"
    desk.answered("New.")
    assert [desk.fetch(), desk.fetch()] == ["New.", "end"]


def test_the_end_of_a_superseded_turn_is_not_told_either(desk: Desk) -> None:
    """A device that asks anew after the last sentence, and before its end, hears of the new turn only."""
    desk.answered("One.")
    assert desk.fetch() == "One."
    desk.session.interrupt("new-utterance", is_superseded=True)
    desk.answered("Two.")
    assert [desk.fetch(), desk.fetch(), desk.fetch()] == ["Two.", "end", "nothing"]


def test_interrupting_cancels_waiting_turns_too(desk: Desk) -> None:
    """Every open turn ends in exactly one TurnCancelled."""
    desk.session.say_heard(SPEECH)
    desk.session.say_heard(SPEECH)
    desk.session.interrupt("interrupted")
    assert desk.facts().count("turn_cancelled") == 2
    assert len(desk.ended) == 2


def test_late_output_of_a_cancelled_turn_is_dropped(desk: Desk) -> None:
    """A stage that did not notice the interruption in time changes nothing any more."""
    desk.heard()
    job = desk.stages.last(Prompt)
    desk.session.interrupt("interrupted")
    n_facts = len(desk.facts())
    job.sink(job, Sentence(job.header, 0, "Late."))
    assert len(desk.facts()) == n_facts


# ---- work that is done again -----------------------------------------------------------------------------------------


def test_a_sentence_spoken_again_goes_on_where_it_stopped(desk: Desk) -> None:
    """After the death of the voice its second take is joined to the first without a repetition."""
    turn = desk.heard()
    (job,) = desk.stages.answer("One.")
    desk.stages.give(job, SpeechChunk(job.header, 0, b"abcdef", 16_000))
    desk.stages.give(job, Redone(job.header, "tts"))
    desk.stages.speak(job, b"abcd", b"efgh", b"ij")
    assert turn.segments[0].pcm16 == b"abcdefghij"


def test_another_voice_starts_the_sentence_over(desk: Desk) -> None:
    """Audio of two sample rates is never joined."""
    turn = desk.heard()
    (job,) = desk.stages.answer("One.")
    desk.stages.give(job, SpeechChunk(job.header, 0, b"abcdef", 16_000), Redone(job.header, "tts"))
    desk.stages.give(job, SpeechChunk(job.header, 0, b"ABCDEF", 24_000), StageDone(job.header, "tts"))
    assert (turn.segments[0].pcm16, turn.segments[0].sample_rate) == (b"ABCDEF", 24_000)


def test_a_reply_written_again_is_not_heard_twice(desk: Desk) -> None:
    """What was delivered of the first reply stands; the rest comes from the second."""
    desk.heard()
    job = desk.stages.last(Prompt)
    desk.stages.give(job, Sentence(job.header, 0, "One."), Sentence(job.header, 1, "Two."))
    first, second = desk.stages.jobs[-2:]
    desk.stages.speak(first, HUM)
    assert desk.fetch() == "One."
    desk.stages.give(job, Redone(job.header, "llm"))
    assert desk.stages.ticket(second).is_cancelled
    desk.stages.give(
        job, Sentence(job.header, 0, "One."), Sentence(job.header, 1, "Deux."), StageDone(job.header, "llm")
    )
    desk.stages.speak(desk.stages.jobs[-1], HUM)
    assert [desk.fetch(), desk.fetch()] == ["Deux.", "end"]


def test_another_reply_than_the_one_begun_fails(desk: Desk) -> None:
    """A reply that cannot be continued honestly ends with the apology."""
    turn = desk.heard()
    job = desk.stages.last(Prompt)
    desk.stages.give(job, Sentence(job.header, 0, "One."))
    desk.stages.speak(desk.stages.jobs[-1], HUM)
    assert desk.fetch() == "One."
    desk.stages.give(job, Redone(job.header, "llm"), Sentence(job.header, 0, "Other."))
    assert getattr(turn.end, "code", "") == "stage-died"
    assert [desk.fetch(), desk.fetch()] == ["Sorry.", "end"]


# ---- the clock -------------------------------------------------------------------------------------------------------


def test_a_turn_that_takes_too_long_fails(desk: Desk) -> None:
    """The deadline ends a turn even while something still happens."""
    turn = desk.heard()
    desk.now_s += 50
    job = desk.stages.last(Prompt)
    desk.stages.give(job, Mark(job.header, "first_token"))
    desk.now_s += 11
    desk.session.tick(desk.now_s)
    assert getattr(turn.end, "code", "") == "turn-timeout"


def test_a_turn_without_progress_fails(desk: Desk) -> None:
    """The watchdog ends a turn in which nothing happens, and the next one starts."""
    turn = desk.session.say_heard(SPEECH)
    waiting = desk.session.say_heard(SPEECH)
    desk.now_s += 21
    desk.session.tick(desk.now_s)
    assert getattr(turn.end, "code", "") == "turn-stalled"
    assert "started" in waiting.marks


def test_old_turns_are_let_go(desk: Desk) -> None:
    """What nobody fetched in time is gone, silently."""
    turn = desk.answered("One.")
    desk.now_s += 31
    desk.session.tick(desk.now_s)
    with pytest.raises(TurnNotFound):
        desk.session.turn(turn.id)
    assert desk.fetch() == "nothing"
    assert turn.segments[0].chunks == []


def test_a_timer_rings(desk: Desk) -> None:
    """A reply sets a timer, and the session speaks when it is due."""
    desk.heard("set a timer")
    job = desk.stages.last(Prompt)
    desk.stages.give(job, Action(job.header, "set-timer", {"name": "tea", "duration_s": 60.0}))
    for voice in desk.stages.answer("Timer set."):
        desk.stages.speak(voice, HUM)
    assert [desk.fetch(), desk.fetch()] == ["Timer set.", "end"]
    desk.now_s += 59
    desk.session.tick(desk.now_s)
    assert desk.fetch() == "nothing"
    desk.now_s += 1
    desk.session.tick(desk.now_s)
    desk.stages.speak(desk.stages.jobs[-1], HUM)
    assert [desk.fetch(), desk.fetch()] == ["Your tea timer is done.", "end"]


def test_prompts_know_the_timers(desk: Desk) -> None:
    """The reply engine is told how much time is left, and can cancel timers by name."""
    desk.session.timers.set("tea", 60.0, desk.now_s)
    desk.session.timers.set("egg", 90.0, desk.now_s)
    desk.now_s += 20
    desk.heard()
    job = desk.stages.last(Prompt)
    assert isinstance(job.message, Prompt)
    assert [(t.name, t.left_s) for t in job.message.timers] == [("tea", 40.0), ("egg", 70.0)]
    desk.stages.give(job, Action(job.header, "cancel-timers", {"name": "tea"}))
    assert len(desk.session.timers) == 1


def test_a_session_with_a_timer_is_never_idle(desk: Desk) -> None:
    """Only a session that nobody would miss is cleaned away."""
    assert desk.session.is_idle(desk.now_s + 1000)
    desk.session.timers.set("", 3600.0, desk.now_s)
    assert not desk.session.is_idle(desk.now_s + 1000)


# ---- unasked speech --------------------------------------------------------------------------------------------------


def test_saying_something_unasked(desk: Desk) -> None:
    """An announcement is spoken sentence by sentence and asks no language model."""
    desk.session.speak("Dinner is ready. Come down!")
    assert all(isinstance(job.message, Sentence) for job in desk.stages.jobs)
    for job in list(desk.stages.jobs):
        desk.stages.speak(job, HUM)
    assert [desk.fetch(), desk.fetch(), desk.fetch()] == ["Dinner is ready.", "Come down!", "end"]


def test_saying_nothing_speakable_ends_at_once(desk: Desk) -> None:
    """Text without anything to say is over before it begins."""
    desk.session.speak("***")
    assert desk.fetch() == "end"


def test_playing_a_sound(desk: Desk) -> None:
    """Ready audio needs no stage."""
    turn = desk.session.play(HUM, 16_000)
    assert desk.stages.jobs == []
    assert turn.segments[0].pcm16 == HUM
    assert desk.facts()[-1] == "turn_done"
