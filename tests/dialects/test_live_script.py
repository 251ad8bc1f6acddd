"""Events and sounds become messages in the promised order; the contract's checker follows."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from app.config import ListeningConfig
from app.conversation.events import AnalysisReady, SpeechStarted
from app.conversation.player import LIVE_RATE_HZ, Player, TurnOver
from app.conversation.turns import Turn
from app.dialects.live_requests import own_settings
from app.dialects.live_script import LiveScript
from app.messages import Prompt, Sentence, SpeechChunk, StageDone, Utterance
from app.pipeline.jobs import Redone
from tests.conversation.desk import Desk, make_desk
from tests.live_contract import ContractChecker


class Client:
    """A live client at the table, whose messages are checked against the contract."""

    def __init__(self) -> None:
        self.desk: Desk = make_desk()
        session = self.desk.session
        self.player = Player(session.outlet, session.lock, 2.0)
        session.barge_in.take_seat(self.player, lambda: None)
        self.script = LiveScript(session.id)
        self.cursor = 0
        self.told: list[dict[str, object]] = []
        self.checker = ContractChecker()
        self.checker.received(
            {
                "type": "session",
                "session_id": session.id,
                "sample_rate": LIVE_RATE_HZ,
                "listening": own_settings(ListeningConfig()),
                "characters": [],
                "models": [],
                "voices": [],
                "settings": dict.fromkeys(("model", "temperature", "character", "voice")),
            }
        )

    def follow(self, seconds: float = 0.0) -> list[str]:
        """Tell all there is in this time; return the types of the messages."""
        before, until_s = len(self.told), self.desk.now_s + seconds
        while True:
            for event in self.desk.session.log.read(self.cursor, 0):
                self.cursor = event.number
                if event.name == "turn_started":
                    self.script.begin(event.turn_id)
                self._take(self.script.tell(event))
            step = self.player.take(self.desk.now_s)
            if step is not None:
                self._take(self.script.end(step) if isinstance(step, TurnOver) else self.script.play(step))
                continue
            wait_s = self.player.wait_s(self.desk.now_s)
            if wait_s is None or self.desk.now_s + wait_s > until_s:
                self.desk.now_s = max(until_s, self.desk.now_s)
                return [str(message["type"]) for message in self.told[before:]]
            self.desk.now_s += wait_s

    def _take(self, parts: Iterable[dict[str, object] | bytes]) -> None:
        for part in parts:
            if isinstance(part, bytes):
                self.checker.received_binary(part)
            else:
                self.told.append(part)
                self.checker.received(part)

    def answer(self, *sentences: str, seconds: float = 0.3) -> Turn:
        turn = self.desk.session.say_text("hello")
        for job in self.desk.stages.answer(*sentences):
            self.speak(job.message, seconds)  # type: ignore[arg-type]
        return turn

    def speak(self, sentence: Sentence, seconds: float) -> None:
        job = next(job for job in self.desk.stages.jobs if job.message is sentence)
        pcm16 = bytes(2 * round(seconds * LIVE_RATE_HZ))
        self.desk.stages.give(
            job, SpeechChunk(job.header, sentence.index, pcm16, LIVE_RATE_HZ), StageDone(job.header, "tts")
        )


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_typed_turn(client: Client) -> None:
    """Text, then sound, then the end."""
    client.answer("One.", "Two.")
    types = client.follow(1.0)
    assert types[:4] == ["text_stream_start", "text_chunk", "text_chunk", "text_stream_stop"]
    assert types[4:6] == ["audio_stream_start", "audio_chunk_meta"]
    assert types[-2:] == ["audio_complete", "turn_complete"]
    assert client.told[-1]["spoken"] == "One. Two."
    client.checker.finish()


def test_a_turn_that_is_interrupted_by_words(client: Client) -> None:
    """The interrupted one is over before the new one answers."""
    client.answer("A long story.", seconds=5.0)
    client.follow(1.0)
    hearing = client.desk.session.hear(takes_over=True)
    client.desk.stages.hear(client.desk.stages.last(Utterance), "no")
    types = client.follow(0.5)
    assert types[:3] == ["interrupted", "stt_finished", "turn_complete"]
    for job in client.desk.stages.answer("Well."):
        client.speak(job.message, 0.2)  # type: ignore[arg-type]
    assert client.follow(1.0)[-1] == "turn_complete"
    assert client.told[-1]["turn_id"] == hearing.turn.id
    client.checker.finish()


def test_a_turn_that_goes_on(client: Client) -> None:
    """It is announced as resumed."""
    client.answer("A long story.", seconds=3.0)
    client.follow(1.0)
    client.desk.session.hear(takes_over=True)
    client.desk.stages.hear(client.desk.stages.last(Utterance), "")
    client.follow(5.0)
    starts = [m for m in client.told if m["type"] == "audio_stream_start"]
    assert [m["resumed"] for m in starts] == [False, True]
    client.checker.finish()


@pytest.mark.parametrize(("again", "n_streams"), [(("One.", "Two."), 1), (("One.", "Deux.", "Trois."), 2)])
def test_a_reply_that_is_written_again(client: Client, again: tuple[str, ...], n_streams: int) -> None:
    """What was told already is not told twice; other words begin a stream of their own."""
    client.desk.session.say_text("hello")
    stages = client.desk.stages
    job = stages.last(Prompt)
    stages.give(job, Sentence(job.header, 0, "One."), Sentence(job.header, 1, "Two."))
    client.speak(stages.jobs[1].message, 0.3)  # type: ignore[arg-type]
    client.follow(0.1)
    stages.give(job, Redone(job.header, "llm"))
    for new in stages.answer(*again):
        client.speak(new.message, 0.3)  # type: ignore[arg-type]
    assert client.follow(3.0)[-1] == "turn_complete"
    client.checker.finish()
    told = [message for message in client.told if message["type"] == "text_chunk"]
    assert [message["text"] for message in told] == list(dict.fromkeys(["One.", "Two.", *again]))
    assert len({message["message_id"] for message in told}) == n_streams
    assert client.told[-1]["spoken"] == " ".join(again)


def test_analysis_may_come_last(client: Client) -> None:
    """Scores that come after the turn's end are told, those of turns one never heard of are not."""
    turn = client.answer("One.")
    client.follow(1.0)
    client.desk.session.log.append(turn.id, AnalysisReady("prosody", {"pitch_hz": None}))
    client.desk.session.log.append("other", AnalysisReady("prosody", {"pitch_hz": None}))
    assert client.follow() == ["analysis"]


def test_a_failed_turn_is_heard_as_an_apology(client: Client) -> None:
    """And told with its code."""
    client.desk.session.say_text("hello")
    client.desk.stages.fail(client.desk.stages.jobs[-1], "llm", "backend-quota")
    client.follow(1.0)
    assert (client.told[-1]["outcome"], client.told[-1]["reason"]) == ("failed", "backend-quota")
    assert "audio_complete" in [m["type"] for m in client.told]
    client.checker.finish()


def test_what_an_earlier_connection_left_is_told_in_full(client: Client) -> None:
    """The words of a sentence come before its sound, though they were written before this connection."""
    client.answer("One.", "Two.")
    client.cursor = client.desk.session.log.last_number
    types = client.follow(1.0)
    assert types[:5] == ["text_stream_start", "text_chunk", "text_chunk", "audio_stream_start", "audio_chunk_meta"]
    assert [m["text"] for m in client.told if m["type"] == "text_chunk"] == ["One.", "Two."]
    client.checker.finish()


def test_what_is_written_while_a_connection_breaks_is_told_in_order(client: Client) -> None:
    """One sentence is spoken, one is only written, and a third is written when the new connection is there."""
    client.desk.session.say_text("hello")
    prompt = client.desk.stages.last(Prompt)
    client.desk.stages.give(prompt, Sentence(prompt.header, 0, "One."), Sentence(prompt.header, 1, "Two."))
    one, two = client.desk.stages.jobs[-2:]
    client.speak(one.message, 0.5)  # type: ignore[arg-type]
    client.cursor = client.desk.session.log.last_number
    client.follow(0.2)
    client.desk.stages.give(prompt, Sentence(prompt.header, 2, "Three."), StageDone(prompt.header, "llm"))
    for job in (two, client.desk.stages.jobs[-1]):
        client.speak(job.message, 0.5)  # type: ignore[arg-type]
    client.follow(2.0)
    assert [m["sentence_index"] for m in client.told if m["type"] == "text_chunk"] == [0, 1, 2]
    client.checker.finish()


def test_speech_over_the_end_of_a_reply(client: Client) -> None:
    """What is interrupted when all was played is not said to be complete when nothing follows."""
    client.desk.session.say_text("hello")
    (job,) = client.desk.stages.answer("A story.")
    client.desk.stages.give(job, SpeechChunk(job.header, 0, bytes(24_000), LIVE_RATE_HZ))
    client.follow(1.0)
    client.desk.stages.give(job, StageDone(job.header, "tts"))
    client.desk.session.hear(takes_over=True)
    client.desk.stages.hear(client.desk.stages.last(Utterance), "")
    types = client.follow(1.0)
    assert types == ["interrupted", "stt_finished", "turn_complete", "turn_complete"]
    client.checker.finish()


def test_an_utterance_that_fails_is_told_in_full(client: Client) -> None:
    """Speech that could not be recognised has a transcript too: an empty one."""
    hearing = client.desk.session.hear(takes_over=True)
    client.desk.session.log.append(hearing.turn.id, SpeechStarted())
    client.desk.stages.fail(client.desk.stages.last(Utterance), "stt")
    types = client.follow(1.0)
    assert types[0] == "speech_started"
    assert [t for t in types if t in ("speech_stopped", "stt_finished", "turn_complete")] == [
        "speech_stopped", "stt_finished", "turn_complete",
    ]  # fmt: skip
    client.checker.finish()


def test_two_characters(client: Client) -> None:
    """Each has its own streams of text and sound."""
    client.desk.session.say_text("hello")
    job = client.desk.stages.last(Prompt)
    before = len(client.desk.stages.jobs)
    sentences = [Sentence(job.header, i, f"I am {name}.", character=name) for i, name in enumerate(("Ada", "Max"))]
    client.desk.stages.give(job, *sentences, StageDone(job.header, "llm"))
    for spoken in client.desk.stages.jobs[before:]:
        client.speak(spoken.message, 0.2)  # type: ignore[arg-type]
    client.follow(1.0)
    for kind in ("text_stream_start", "audio_stream_start"):
        assert [m["character_name"] for m in client.told if m["type"] == kind] == ["Ada", "Max"]
    client.checker.finish()


def test_analysis_of_an_utterance_is_told(client: Client) -> None:
    """While the turn is under way."""
    turn = client.desk.session.say_text("hello")
    client.desk.session.log.append(turn.id, AnalysisReady("prosody", {"pitch_hz": 120.0}))
    client.follow()
    assert {"type": "analysis", "turn_id": turn.id, "analyser": "prosody", "scores": {"pitch_hz": 120.0}} in client.told


def test_a_reply_that_is_written_again_is_told_once(client: Client) -> None:
    """When the writer died, the same sentences come again; only what became another is told, as a new message."""
    client.desk.session.say_text("hello")
    job = client.desk.stages.last(Prompt)
    client.desk.stages.give(job, Sentence(job.header, 0, "One."), Sentence(job.header, 1, "Two."))
    client.follow()
    client.desk.stages.give(job, Redone(job.header, "llm"))
    before = len(client.desk.stages.jobs)
    again = [Sentence(job.header, i, text) for i, text in enumerate(("One.", "Three."))]
    client.desk.stages.give(job, *again, StageDone(job.header, "llm"))
    for spoken in client.desk.stages.jobs[before:]:
        client.speak(spoken.message, 0.2)  # type: ignore[arg-type]
    client.follow(1.0)
    assert [m["text"] for m in client.told if m["type"] == "text_chunk"] == ["One.", "Two.", "Three."]
    assert client.told[-1]["spoken"] == "One. Three."
    client.checker.finish()


def test_what_follows_other_words_is_told_again(client: Client) -> None:
    """A sentence that is the same again, but behind one that became another, moves into the new message."""
    client.desk.session.say_text("hello")
    job = client.desk.stages.last(Prompt)
    texts = ("One.", "Two.", "Three.")
    client.desk.stages.give(job, *(Sentence(job.header, i, text) for i, text in enumerate(texts)))
    client.speak(client.desk.stages.jobs[1].message, 0.3)  # type: ignore[arg-type]
    client.follow(0.1)
    client.desk.stages.give(job, Redone(job.header, "llm"))
    for again in client.desk.stages.answer("One.", "Deux.", "Three."):
        client.speak(again.message, 0.3)  # type: ignore[arg-type]
    client.follow(3.0)
    client.checker.finish()
    told = [message for message in client.told if message["type"] == "text_chunk"]
    assert [message["text"] for message in told] == ["One.", "Two.", "Three.", "Deux.", "Three."]
    assert len({message["message_id"] for message in told}) == 2
    assert client.told[-1]["spoken"] == "One. Deux. Three."
