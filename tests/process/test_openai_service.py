"""The whole service on OpenAI-compatible servers: a stand-in that speaks their wire, and fails as they do."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from tests.serving import RunningService, fetch_reply, serve, with_fakes
from tests.sounds import speech_wav
from tests.standins.openai_scenario import Behaviour
from tests.standins.openai_server import TRANSCRIPT, OpenAiStandIn

pytestmark = pytest.mark.process
VERBS = {"stt": "transcriptions", "llm": "chat", "tts": "speech"}
FAILURES = ("500", "502-html", "503", "json-instead", "429-quota")
"""Each before the first result; the last makes the backend rest, so that the turns after it do not ask it at all."""


def served_by(url: str, *stages: str) -> dict[str, Any]:
    """Return a configuration in which the server at `url` does these stages, and a fake what it does not."""
    section = {"backends": ["remote", "fake"], "remote": {"engine": "openai", "base_url": url}}
    return with_fakes(**dict.fromkeys(stages, section))


def ask(service: RunningService) -> list[str]:
    """Play a turn and return the sentences that were heard."""
    service.post("/upload", data=speech_wav(5))
    return [unquote(segment.headers["X-Text"]) for segment in fetch_reply(service)]


def test_a_turn_on_remote_servers() -> None:
    """Speech goes out, words come back, the reply is written and spoken elsewhere, and the device hears it."""
    with OpenAiStandIn() as server, serve(served_by(server.base_url, *VERBS)) as service:
        heard = " ".join(ask(service))
        assert TRANSCRIPT in heard
        assert "好的!" in heard
        assert "🎵" not in heard
        verbs = [received.path.rsplit("/", 1)[-1] for received in server.requests]
        assert {"transcriptions", "completions", "speech"} == set(verbs)


@pytest.mark.parametrize("stage", VERBS)
def test_the_next_backend_steps_in(stage: str) -> None:
    """Whatever a remote server does wrong before its first result, the turn is answered in full."""
    # The voice is asked once more before: for the apology, at start.
    scenario = {VERBS[stage]: [*(["ok"] if stage == "tts" else []), *FAILURES]}
    with OpenAiStandIn(scenario) as server, serve(served_by(server.base_url, stage)) as service:
        n_turns = len(FAILURES) + 1
        replies = [ask(service) for _ in range(n_turns)]
        assert [len(reply) for reply in replies] == [2] * n_turns
        n_asked = sum(
            received.path.endswith(VERBS[stage].replace("chat", "completions")) for received in server.requests
        )
        assert n_asked >= len(FAILURES)


def test_a_reply_that_breaks_off() -> None:
    """The sentence that was given is heard, half a one is not, and the apology follows."""
    text = "This sentence is whole and long enough. This one is never finished at all."
    broken = Behaviour("eof-after", n_items=11, text=text)
    with OpenAiStandIn({"chat": [broken]}) as server, serve(served_by(server.base_url, "llm")) as service:
        heard = ask(service)
    assert heard[0] == "This sentence is whole and long enough."
    assert heard[-1].startswith("Sorry")
    assert len(heard) == 2
