"""Everything at once and in any order: every connection keeps the contract, and every turn comes to an end."""

from __future__ import annotations

import random

import pytest

from app.conversation.events import SpeechStarted, SpeechStopped
from app.conversation.hearing import Hearing
from app.conversation.player import LIVE_RATE_HZ
from app.messages import Prompt, Sentence, SpeechChunk, StageDone, Utterance
from app.pipeline.jobs import HubJob, Redone
from tests.conversation.stages import SPEECH
from tests.dialects.test_live_script import Client

N_STORMS = 100
N_STEPS = 80
STEPS = {"work": 12, "follow": 6, "begin_to_speak": 3, "stop_speaking": 4, "type": 1, "announce": 1, "interrupt": 1}
"""What may happen next, and how often it does against the others."""


class Storm:
    """A live client who types, speaks and interrupts while the stages work, fail and begin again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._client = Client()
        self._session = self._client.desk.session
        self._stages = self._client.desk.stages
        self._hearing: Hearing | None = None
        self._n_given: dict[int, int] = {}
        "By the job's id, how much it has given; negative when it has ended."

    def rage(self) -> None:
        for _ in range(N_STEPS):
            (step,) = self._random.choices(list(STEPS), list(STEPS.values()))
            getattr(self, step)()

    def calm_down(self) -> None:
        """Let everything end well."""
        self.stop_speaking()
        for _ in range(20):
            while self.work(is_calm=True):
                pass
            self._client.follow(5.0)
        assert self._session.outlet.is_empty
        self._client.checker.finish()

    # ---- the user ----------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        self._client.follow(self._random.choice([0.0, 0.0, 0.05, 0.3, 1.0]))

    def type(self) -> None:
        self._session.interrupt("new-message")
        self._session.say_text("hello")

    def announce(self) -> None:
        if len(self._session._line.open_turns) < 3:
            self._session.speak("Your timer is done.")

    def interrupt(self) -> None:
        self._session.interrupt("interrupted")

    def begin_to_speak(self) -> None:
        if self._hearing is None and len(self._session._line.open_turns) < 3:
            self._hearing = self._session.hear(takes_over=True)
            self._session.log.append(self._hearing.turn.id, SpeechStarted())
            self._hearing.feed(SPEECH)

    def stop_speaking(self) -> None:
        if self._hearing is not None:
            self._session.log.append(self._hearing.turn.id, SpeechStopped("silence"))
            self._hearing.finish()
            self._hearing = None

    # ---- the stages --------------------------------------------------------------------------------------------------

    def work(self, is_calm: bool = False) -> bool:
        """Let one job give something; false when there is none that can."""
        jobs = [job for job in self._stages.jobs if self._n_given.get(job.id, 0) >= 0 and self._may_work(job)]
        if not jobs:
            return False
        job = self._random.choice(jobs)
        luck = 1.0 if is_calm else self._random.random()
        if luck < (0.25 if isinstance(job.message, Utterance) else 0.06):
            self._n_given[job.id] = -1
            self._stages.fail(job, self._stage_of(job))
        elif luck < 0.12 and self._n_given.get(job.id):
            self._n_given[job.id] = 0
            self._stages.give(job, Redone(job.header, self._stage_of(job)))
        else:
            self._give_next(job, luck)
        return True

    def _may_work(self, job: HubJob) -> bool:
        ticket = self._stages.ticket(job)
        is_heard = not isinstance(job.message, Utterance) or any(chunk.is_last for chunk in ticket.chunks)
        return is_heard and not ticket.is_cancelled

    def _stage_of(self, job: HubJob) -> str:
        return {Utterance: "stt", Prompt: "llm", Sentence: "tts"}[type(job.message)]  # type: ignore[index]

    def _give_next(self, job: HubJob, luck: float) -> None:
        n_given = self._n_given.get(job.id, 0)
        self._n_given[job.id] = n_given + 1
        if n_given == 2 or isinstance(job.message, Utterance):
            self._n_given[job.id] = -1
        if isinstance(job.message, Utterance):
            self._stages.hear(job, "one two three" if 0.5 < luck < 1.0 else "")
        elif n_given == 2:
            self._stages.give(job, StageDone(job.header, self._stage_of(job)))
        elif isinstance(job.message, Prompt):
            self._stages.give(job, Sentence(job.header, n_given, f"This is {job.id} {n_given}."))
        elif isinstance(job.message, Sentence):
            pcm16 = bytes(2 * round(self._random.choice([0.05, 0.5, 2.0]) * LIVE_RATE_HZ))
            self._stages.give(job, SpeechChunk(job.header, job.message.index, pcm16, LIVE_RATE_HZ))


@pytest.mark.parametrize("seed", range(N_STORMS))
def test_a_storm(seed: int) -> None:
    """After it all is quiet, and nothing was told out of its order."""
    storm = Storm(seed)
    storm.rage()
    storm.calm_down()
