"""A service for live tests, which answers with what was said, and what its replies sound like."""

from __future__ import annotations

from typing import Any

from app.llm.sentences import split_sentences
from tests.serving import with_fakes

S_PER_CHARACTER = 0.01
LIVE_RATE_HZ = 24_000
COUGH_S = 2.0
"""The fake recogniser finds no words in an utterance shorter than this."""
LONG = " ".join(f"This is sentence number {n} of a rather long story." for n in range(1, 9))
"""Takes four seconds to say."""
APOLOGY = "Sorry, something went wrong. Please try again."


def live_config(**sections: Any) -> dict[str, Any]:
    """Return the configuration of a service that says again what it heard; it fails at `break now`."""
    return with_fakes(
        **{
            "stt": {"fake": {"text": "I heard {seconds} seconds.", "silent_below_s": COUGH_S}},
            "llm": {
                "fake": {"reply": "You said: {heard}", "fail": "error", "fail_on": "break now"},
                "models": ["small", "big"],
            },
            "tts": {"fake": {"s_per_character": S_PER_CHARACTER}, "voices": ["fake/bass"]},
            **sections,
        }
    )


def split(text: str) -> list[str]:
    return list(split_sentences([text]))


def n_samples(text: str) -> int:
    """Return how long the fake voice speaks, in samples as a live client gets them."""
    return round(len(text) * S_PER_CHARACTER * LIVE_RATE_HZ)
