"""What the device does next, step by step, and for three days in a row."""

from __future__ import annotations

import random
import resource
import threading
from collections import Counter

import pytest

from clients.device.detector import Detection
from clients.device.ear import Ear
from clients.device.health import StreamHealth
from clients.device.inbox import Inbox
from clients.device.machine import Machine
from clients.device.outbox import Outbox
from clients.device.settings import WakeModel
from clients.device.steps import (
    Action,
    BeSilent,
    ButtonPressed,
    CallWebhook,
    Event,
    Finish,
    PlayingBegan,
    PlayingEnded,
    PlayTone,
    Record,
    ReplyEnded,
    Send,
    SpeechBegan,
    StreamLost,
    StreamOpened,
    Tell,
    Tick,
    Uploaded,
    UploadFailed,
    UtteranceEnded,
    WakeHeard,
)
from clients.device.wake import load_engines
from tests.clients.device.scenes import noise, settings, whistle, windows_of

WAKE = WakeHeard(Detection(WakeModel(name="a"), 0.9, 0.5, {"a": 0.9}, False))
ENDED = UtteranceEnded("silence")


class Story:
    """A machine and what it was told."""

    def __init__(self, mode: str = "wake", *events: Event) -> None:
        self.machine = Machine(settings({"mode": mode}))
        self.now_s = 0.0
        self.tell(StreamOpened(), *events)

    def tell(self, *events: Event) -> list[Action]:
        """Tell events one after the other; return what was to be done, without lines for the log."""
        actions = [action for event in events for action in self.machine.handle(event, self.now_s)]
        return [action for action in actions if not isinstance(action, Tell)]

    @property
    def state(self) -> str:
        return self.machine.state


def test_a_question_and_its_answer() -> None:
    """From the wake word to the end of the reply, with a tone at each turning."""
    story = Story()
    assert story.state == "listening"
    assert story.tell(WAKE) == [Record(after_wake=True), PlayTone("wake")]
    assert story.state == "recording"
    assert story.tell(SpeechBegan(), SpeechBegan()) == [Send()]
    assert story.tell(ENDED) == [Finish(), PlayTone("end")]
    assert story.state == "waiting"
    assert story.tell(Uploaded("1"), PlayingBegan()) == []
    assert story.state == "speaking"
    assert story.tell(PlayingEnded()) == []
    assert story.state == "waiting"
    assert story.tell(PlayingBegan(), ReplyEnded("1", has_sound=True)) == []
    assert story.state == "speaking"
    assert story.tell(PlayingEnded()) == []
    assert story.state == "listening"


def test_nobody_speaks_after_the_wake_word() -> None:
    """Nothing is sent, and the device listens again."""
    story = Story("wake", WAKE)
    assert story.tell(UtteranceEnded("no-speech")) == [Finish(), PlayTone("end")]
    assert story.state == "listening"


def test_the_wake_word_interrupts() -> None:
    """Playback ends before the recording begins, and the service is told whose answer is not wanted any more."""
    story = Story("wake", WAKE, SpeechBegan(), ENDED, Uploaded("1"), PlayingBegan())
    assert story.tell(WAKE) == [BeSilent("1"), Record(after_wake=True), PlayTone("wake")]
    assert story.state == "recording"
    assert Story("wake", PlayingBegan()).tell(WAKE)[0] == BeSilent("")


def test_a_wake_word_in_a_question_is_part_of_it() -> None:
    """A recording is not begun twice."""
    assert Story("wake", WAKE).tell(WAKE) == []


def test_a_model_without_questions_only_tells_its_webhook() -> None:
    """And one with a webhook and questions does both."""
    model = WakeModel(name="bell", webhook_url="http://x", stt_enabled=False)
    bell = Detection(model, 0.9, 0.5, {}, False)
    story = Story()
    assert story.tell(WakeHeard(bell)) == [CallWebhook(bell)]
    assert story.state == "listening"
    both = Detection(WakeModel(name="a", webhook_url="http://x"), 0.9, 0.5, {}, False)
    assert story.tell(WakeHeard(both)) == [CallWebhook(both), Record(after_wake=True), PlayTone("wake")]


def test_push_to_talk() -> None:
    """The key begins, and is heard from the start; the key ends; it interrupts too."""
    story = Story("push_to_talk")
    assert story.tell(ButtonPressed()) == [Record(after_wake=False), Send(), PlayTone("wake")]
    assert story.tell(ButtonPressed()) == [Finish(), PlayTone("end")]
    story.tell(Uploaded("1"), PlayingBegan())
    assert story.tell(ButtonPressed())[0] == BeSilent("1")


def test_hands_free() -> None:
    """Speech begins a question, but not while the device itself speaks."""
    story = Story("hands_free", PlayingBegan())
    assert story.tell(SpeechBegan()) == []
    story.tell(PlayingEnded())
    assert story.tell(SpeechBegan()) == [Record(after_wake=False), Send(), PlayTone("wake")]
    assert Story().tell(SpeechBegan()) == []


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), "listening"),
        ((WAKE,), "recording"),
        ((WAKE, SpeechBegan()), "recording"),
        ((WAKE, SpeechBegan(), ENDED), "waiting"),
        ((WAKE, SpeechBegan(), ENDED, Uploaded("1"), PlayingBegan()), "speaking"),
    ],
)
def test_unplugged_in_every_state(events: tuple[Event, ...], state: str) -> None:
    """What was being said is ended, the state says so, and with the microphone everything works again."""
    story = Story("wake", *events)
    assert story.state == state
    actions = story.tell(StreamLost("vanished"))
    assert (Finish() in actions) == (state == "recording")
    assert story.state == "recovering"
    assert story.tell(WAKE, ButtonPressed(), StreamLost("stuck")) == []
    story.tell(StreamOpened(), PlayingEnded(), ReplyEnded("1", has_sound=True))
    story.now_s = 1000.0
    story.tell(Tick())
    assert story.state == "listening"
    assert Record(after_wake=True) in story.tell(WAKE)


def test_the_network_is_away() -> None:
    """A tone says so once, the device listens, and when the question was taken at last its answer is waited for."""
    story = Story("wake", WAKE, SpeechBegan(), ENDED)
    assert story.tell(UploadFailed("away", is_kept=True)) == [PlayTone("failure")]
    assert story.state == "listening"
    assert story.tell(UploadFailed("away", is_kept=True)) == []
    story.tell(Uploaded("1"))
    assert story.state == "waiting"


def test_a_question_that_is_refused() -> None:
    """A tone, and the device listens."""
    story = Story("wake", WAKE, SpeechBegan(), ENDED)
    assert story.tell(UploadFailed("401", is_kept=False)) == [PlayTone("failure")]
    assert story.state == "listening"


def test_a_question_that_is_refused_while_it_is_spoken() -> None:
    """A tone at once, and no answer is waited for at its end; the next question is a new one."""
    story = Story("wake", WAKE, SpeechBegan())
    assert story.tell(UploadFailed("401", is_kept=False)) == [PlayTone("failure")]
    story.tell(ENDED)
    assert story.state == "listening"
    story.tell(WAKE, SpeechBegan(), ENDED)
    assert story.state == "waiting"


def test_no_answer_comes() -> None:
    """After the time that is set the device listens again; sound that is playing is waited for."""
    story = Story("wake", WAKE, SpeechBegan(), ENDED, Uploaded("1"))
    story.now_s = 59.0
    assert story.tell(Tick()) == []
    story.tell(PlayingBegan())
    story.now_s = 500.0
    assert story.tell(Tick()) == []
    story.tell(PlayingEnded())
    story.now_s = 560.0
    assert story.tell(Tick()) == [PlayTone("failure")]
    assert story.state == "listening"


def test_ends_that_overtake_are_understood() -> None:
    """The end of a turn may be known before its name is."""
    story = Story("wake", WAKE, SpeechBegan(), ENDED)
    assert story.tell(ReplyEnded("1", has_sound=False)) == []
    assert story.tell(Uploaded("1")) == [PlayTone("failure")]
    assert story.state == "listening"


def test_other_turns_do_not_end_the_wait() -> None:
    """A timer that rings, or an old reply, is not the answer."""
    story = Story("wake", WAKE, SpeechBegan(), ENDED, Uploaded("2"))
    story.tell(PlayingBegan(), ReplyEnded("1", has_sound=True), PlayingEnded())
    assert story.state == "waiting"


def test_a_recording_without_sound_ends() -> None:
    """When windows stop coming, the clock ends it."""
    story = Story("wake", WAKE, SpeechBegan())
    story.now_s = 36.0
    assert Finish() in story.tell(Tick())


# ---- three days ------------------------------------------------------------------------------------------------------


class Days:
    """A device without threads, in a house with people, a network and a cable that come and go."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.settings = settings({"server": {"keep_utterances": 3}})
        self.machine = Machine(self.settings)
        engines = load_engines(self.settings.wake.models)
        self.ear = Ear(self.settings, engines, [])
        self.inbox = Inbox(125)
        self.health = StreamHealth(self.settings.microphone)
        self.outbox = Outbox(self.settings.server)
        self.now_s = 0.0
        self.has_network = self.has_cable = True
        self.is_open = False
        self.n_turns = 0
        self.seen: Counter[str] = Counter()
        self.room = windows_of(noise(2.0))
        self.word = windows_of(whistle(0.4))
        self.voice = windows_of(noise(1.5, 3000))
        self.replies: list[tuple[float, Event]] = []

    def tell(self, event: Event) -> None:
        self.seen[type(event).__name__] += 1
        for action in self.machine.handle(event, self.now_s):
            if isinstance(action, Record):
                self.ear.begin(action.after_wake)
            elif isinstance(action, Send):
                assert self.ear.utterance is not None
                self.outbox.add(self.ear.utterance, self.now_s)
            elif isinstance(action, Finish):
                self.ear.end()
            elif isinstance(action, BeSilent):
                self.replies.clear()
        self.seen[self.machine.state] += 1

    def hear(self, windows: list[bytes]) -> None:
        """Let windows come as a microphone gives them, with the consumer falling behind now and then."""
        for window in windows:
            self.now_s += 0.08
            if not (self.is_open and self.has_cable):
                continue
            self.inbox.put_chunk(window)
            if self.random.random() < 0.01:
                continue
            while (taken := self.inbox.take_chunk()) is not None:
                self.health.heard(taken[0], self.now_s)
                for event in self.ear.feed(taken[0], self.machine.is_playing):
                    self.tell(event)

    def minute(self) -> None:
        """Let a minute pass, in which anything may happen."""
        chance = self.random.random
        if chance() < 0.01:
            self.has_network = not self.has_network
        if chance() < (0.01 if self.has_cable else 0.3):
            self.has_cable = not self.has_cable
        if chance() < 0.02:
            # The process is stopped for a while: nobody takes what comes.
            for window in self.room * 10:
                self.inbox.put_chunk(window)
        if chance() < 0.1:
            self.hear(self.room[:2] + self.word + self.room[:4])
            self.hear(self.voice * self.random.choice([0, 1, 1, 1, 2, 25]) + self.room[:10])
        for _ in range(12):
            self.five_seconds()

    def five_seconds(self) -> None:
        self.now_s += 5.0
        self.hear([self.random.choice(self.room)])
        self._look_after_stream()
        self._send()
        due = [event for at_s, event in self.replies if at_s <= self.now_s]
        self.replies = [(at_s, event) for at_s, event in self.replies if at_s > self.now_s]
        for event in due:
            self.tell(event)
        self.tell(Tick())

    def _look_after_stream(self) -> None:
        if not self.is_open and self.has_cable:
            self.is_open = True
            self.health.opened(self.now_s)
            self.ear.break_off()
            self.tell(StreamOpened())
        elif self.is_open and (fault := self.health.check(self.has_cable, self.now_s)):
            self.is_open = False
            self.tell(StreamLost(fault))

    def _send(self) -> None:
        while (kept := self.outbox.due(self.now_s)) is not None and kept.utterance.is_finished:
            if not self.has_network:
                is_kept = self.outbox.failed(kept, self.now_s)
                self.tell(UploadFailed("away", is_kept))
                continue
            self.outbox.sent(kept)
            self.n_turns += 1
            turn = str(self.n_turns)
            self.tell(Uploaded(turn))
            if self.random.random() < 0.9:
                at_s = self.now_s + self.random.random() * 20
                self.replies += [(at_s, PlayingBegan()), (at_s, ReplyEnded(turn, True)), (at_s + 5, PlayingEnded())]


@pytest.mark.engine
@pytest.mark.parametrize("seed", [1])
def test_three_days_end_listening(seed: int) -> None:
    """72 hours with faults of network, cable and machine: every state was seen, nothing grew, and it listens."""
    house = Days(seed)
    n_threads = threading.active_count()
    peaks_kb = []
    for _day in range(3):
        for _minute in range(24 * 60):
            house.minute()
        peaks_kb.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    house.has_network = house.has_cable = True
    for _ in range(60):
        house.five_seconds()
    assert house.machine.state == "listening"
    assert {"listening", "recording", "waiting", "speaking", "recovering"} <= set(house.seen)
    assert {"WakeHeard", "UploadFailed", "StreamLost", "UtteranceEnded"} <= set(house.seen)
    assert house.n_turns > 100
    assert house.inbox.n_lost > 1000
    assert (len(house.outbox), house.inbox.n_waiting) == (0, 0)
    assert house.ear.utterance is None
    assert threading.active_count() == n_threads
    # What the first day needed is enough for the others, but for the luck of how much waits at once.
    assert peaks_kb[2] < peaks_kb[0] + 5_000
    house.hear(house.room[:10] + house.word)
    assert house.machine.state == "recording"
