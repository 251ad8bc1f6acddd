"""A session on the table: scripted stages, and a clock in the test's hands."""

from __future__ import annotations

from dataclasses import dataclass

from app.config import SessionConfig
from app.conversation.session import Session
from app.conversation.surroundings import SpokenApology, Surroundings
from app.conversation.turns import Turn
from app.messages import Utterance
from tests.conversation.stages import SPEECH, ScriptedPipeline

HUM = b"\x01\x02" * 800


@dataclass
class Desk:
    """A session on the table, with everything around it in the test's hands."""

    session: Session
    stages: ScriptedPipeline
    ended: list[Turn]
    now_s: float = 100.0

    def facts(self) -> list[str]:
        return [event.name for event in self.session.log.read(0, 0)]

    def heard(self, text: str = "hello") -> Turn:
        """Let an utterance come in and be recognised."""
        turn = self.session.say_heard(SPEECH)
        self.stages.hear(self.stages.last(Utterance), text)
        return turn

    def answered(self, *sentences: str) -> Turn:
        """Play a whole turn, spoken but not delivered."""
        turn = self.heard()
        for job in self.stages.answer(*sentences):
            self.stages.speak(job, HUM)
        return turn

    def fetch(self) -> str:
        """Take what a poller gets at once: a sentence's text, `end` or `nothing`."""
        claim = self.session.outlet.claim(0)
        if claim is None:
            return "nothing"
        claim.settle(True)
        return "end" if claim.segment is None else claim.segment.text


def make_desk() -> Desk:
    """Set the table."""
    stages, ended = ScriptedPipeline(), []
    config = SessionConfig(max_queued_turns=2, turn_timeout_s=60, stall_timeout_s=20, segments_kept_s=30)
    around = Surroundings(
        stages,  # type: ignore[arg-type]
        config,
        lambda: made.now_s,
        lambda turn: None,
        ended.append,
        system_prompt="Be brief.",
        apology=SpokenApology("Sorry.", HUM, 16_000),
    )
    made = Desk.__new__(Desk)
    made.now_s = 100.0
    made.session, made.stages, made.ended = Session("kitchen", around), stages, ended
    return made
