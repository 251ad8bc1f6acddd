"""The order of a turn, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from app.analysis.stage import AnalysisStage
from app.llm.stage import LlmStage
from app.messages import Analysis, Message, Prompt, Sentence, SpeechChunk, Transcript, Utterance
from app.stage import Stage
from app.stt.stage import SttStage
from app.tts.stage import TtsStage


@dataclass(frozen=True, slots=True)
class Step:
    """One stage and its place in the flow."""

    stage: type[Stage]
    takes: type[Message]
    gives: type[Message]
    streams: bool = False
    "Takes utterances that are still arriving."


STEPS = (  # upload -> stt -> llm (sentences) -> tts -> audio
    Step(SttStage, takes=Utterance, gives=Transcript, streams=True),
    Step(LlmStage, takes=Prompt, gives=Sentence),  # the conversation makes the Prompt from the Transcript
    Step(TtsStage, takes=Sentence, gives=SpeechChunk),
    Step(AnalysisStage, takes=Utterance, gives=Analysis),  # beside stt, never in its way
)
