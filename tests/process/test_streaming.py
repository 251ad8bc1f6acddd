"""A reply that takes its time: what is heard while it is still being made, and what becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.serving import RunningService, fetch_reply, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    reply = "This is the first sentence. The second one follows long after it. And here is a third one."
    with serve(with_fakes(llm={"fake": {"delay_s": 0.15, "reply": reply}})) as running:
        yield running


def state_of(service: RunningService, turn: str, session: str) -> str:
    state: str = service.get(f"/turns/{turn}?session={session}").json()["state"]
    return state


def test_talk_is_heard_before_the_reply_is_complete(service: RunningService) -> None:
    """The first audio byte of /talk comes while the language model is still writing."""
    with service.post("/talk?session=talk", data=speech_wav(5), stream=True) as response:
        body = response.iter_content(500)
        first = next(body)
        assert state_of(service, response.headers["X-Turn"], "talk") == "open"
        assert first.startswith(b"RIFF")
        assert len(b"".join(body)) > 20_000
        assert state_of(service, response.headers["X-Turn"], "talk") == "done"


def test_a_sentence_is_fetched_before_the_reply_is_complete(service: RunningService) -> None:
    """GET /audio gives the first sentence as soon as it is spoken."""
    turn = service.post("/upload?session=poll", data=speech_wav(5)).json()["turn"]
    assert service.get("/audio?session=poll").headers["X-Segment"] == "0"
    assert state_of(service, turn, "poll") == "open"
    assert len(fetch_reply(service, "&session=poll")) == 2


def test_a_waiting_poller_is_told_of_an_interruption(service: RunningService) -> None:
    """A device that waits for the next sentence hears at once that there will be none."""
    service.post("/upload?session=cut", data=speech_wav(5))
    assert service.get("/audio?session=cut").status_code == 200
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(service.get("/audio?session=cut")))
    waiting.start()
    assert len(service.post("/interrupt?session=cut").json()["cancelled"]) == 1
    waiting.join(20)
    assert [answer.status_code for answer in answers] == [204]
    assert "X-Turn-Error" not in answers[0].headers


def test_a_client_that_leaves_in_mid_talk(service: RunningService) -> None:
    """The turn of a client that hung up is cancelled, so that the next one of its session does not wait for it."""
    with service.post("/talk?session=gone", data=speech_wav(5), stream=True) as response:
        next(response.iter_content(500))
    service.post("/upload?session=gone", data=speech_wav(6))
    assert len(fetch_reply(service, "&session=gone")) == 3
    assert state_of(service, response.headers["X-Turn"], "gone") == "cancelled"


def test_history_remembers_what_was_said() -> None:
    """The second turn of a session is the second for the language model too."""
    with serve(with_fakes(llm={"fake": {"reply": "Turn number {turn} it is."}})) as counting:
        for number in (1, 2, 3):
            counting.post("/upload", data=speech_wav(5))
            (segment,) = fetch_reply(counting)
            assert segment.headers["X-Text"] == f"Turn%20number%20{number}%20it%20is."
