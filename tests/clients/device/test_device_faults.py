"""Answers that are none, and faults of the workers: nothing of it ends or silences the device."""

from __future__ import annotations

import threading

import pytest

from clients.device.courier import Courier
from clients.device.link import Link
from clients.device.steps import UploadFailed
from clients.service import Lost, Trouble
from tests.clients.device.scenes import (
    Faulty,
    answering,
    as_json,
    settings,
    wait_until,
)
from tests.clients.device.test_device_network import Down, Up, sentence, utterance
from tests.clients.device.test_origin_bugs import Room

TAKEN = as_json(200, {"turn": "t1"})


# ---- the service -----------------------------------------------------------------------------------------------------


def test_a_question_outlives_the_one_that_it_replaces() -> None:
    """The service is told to be silent before the new question comes to it, and not behind it."""
    may_answer = threading.Event()
    with answering(lambda _method, path, _body: (may_answer.wait(20) and TAKEN) or TAKEN) as server:
        up = Up(server)
        up.uplink.start()
        up.uplink.send(utterance(b"ab"))
        wait_until(lambda: server.asked, "the first question")
        up.uplink.interrupt()
        up.uplink.send(utterance(b"cd"))
        may_answer.set()
        wait_until(lambda: len(server.asked) == 3, "all three")
        up.uplink.stop()
        assert [path.partition("?")[0] for path in server.paths("POST")] == ["/upload", "/interrupt", "/upload"]


@pytest.mark.parametrize("body", [b'{"error": {"co', b""])
def test_a_refusal_that_breaks_off_is_a_lost_connection(body: bytes) -> None:
    """And no fault of the device, whichever way it asks."""
    headers = {"Content-Length": "1000", "Connection": "close"}
    with answering(lambda *_: (502, headers, body)) as server:
        link = Link(settings(url=server.url))
        for options in ({"stream": True}, {}):
            with pytest.raises(Lost):
                link.ask("GET", "/audio", **options)


def test_a_page_that_is_no_reply_is_not_played() -> None:
    """A web server that has a page for every address is no Earshot service; it is told, and asked less and less."""
    with answering(lambda *_: (200, {"Content-Type": "text/html"}, b"<html>" * 100)) as server:
        down = Down(server)
        waits = [down.replies.work() for _ in range(3)]
        assert down.played() == b""
        assert waits == [0.5, 1, 2]
        assert down.told == [f"no replies: {server.url} is no Earshot service (200 OK): correct server.url or --url"]
    with answering(lambda *_: (204, {}, b"")) as server:
        down = Down(server)
        assert down.replies.work() > 0
        assert down.events == []


def test_what_arrives_in_the_moment_of_an_interruption_is_not_played() -> None:
    """The listener may end a reply between the look whether it is wanted and the sound."""
    with answering(lambda *_: sentence("t", 0, b"\1\1" * 9000)) as server:
        down = Down(server)
        play = down.player.play

        def play_late(pcm16: bytes) -> None:
            down.replies.drop("t")
            play(pcm16)

        down.player.play = play_late  # type: ignore[method-assign]
        down.replies.work()
        assert down.played() == b""


def test_an_upload_that_is_answered_by_a_page_is_told() -> None:
    """With what to do, instead of what the reader of JSON says."""
    for answer in ((200, {}, b"<html>"), as_json(200, {"x": 1}), as_json(200, [])):
        with answering(lambda *_, answer=answer: answer) as server:  # type: ignore[misc]
            up = Up(server)
            up.uplink.send(utterance(b"abcd"))
            up.uplink.work()
            (event,) = up.events
            assert isinstance(event, UploadFailed)
            assert "is no Earshot service" in event.why


@pytest.mark.parametrize("host", ["LOCALHOST", "localhost"])
def test_the_token_goes_to_the_service_however_it_is_written(host: str) -> None:
    """Capital letters in a host name mean nothing."""
    with answering(lambda *_: as_json(200, {})) as server:
        url = server.url.replace("127.0.0.1", host)
        link = Link(settings({"server": {"token": "secret"}}, url))
        for to in ("", url + "/other"):
            assert link.ask("POST", "/x", to=to).request.headers.get("Authorization") == "Bearer secret"


def test_a_heartbeat_to_another_place_names_that_place() -> None:
    """When it is down or refuses, the service has nothing to do with it."""
    link = Link(settings(url="http://127.0.0.1:1"))
    with pytest.raises(Trouble, match=r"http://127\.0\.0\.1:2/beat does not answer"):
        link.ask("POST", "/heartbeat", to="http://127.0.0.1:2/beat")
    with (
        answering(lambda *_: as_json(422, {"detail": "no"})) as server,
        pytest.raises(Trouble, match=r"/beat refuses it .422"),
    ):
        link.ask("POST", "/heartbeat", to=server.url + "/beat")
    with pytest.raises(Trouble, match=r"cannot be asked.*heartbeat.url"):
        link.ask("POST", "/heartbeat", to="nowhere")


# ---- the workers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uplink", "replies", "heartbeat", "courier"])
def test_a_fault_of_a_worker_does_not_end_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with its traceback, and the worker goes on."""
    monkeypatch.setattr("clients.device.worker.FIRST_WAIT_S", 0.01)
    worker = getattr(Room().device, name)
    step = Faulty(0.01)
    monkeypatch.setattr(worker, "step", step)
    worker.start()
    wait_until(lambda: step.n_calls > 1, "the worker goes on")
    worker.stop()


def test_a_webhook_that_talks_for_ever_holds_nobody() -> None:
    """Only whether it is taken matters: its answer is not read."""
    told: list[str] = []
    # It says more than it sends: whoever reads it waits for the rest.
    with answering(lambda *_: (200, {"Content-Length": "1000000"}, b"x")) as server:
        courier = Courier(settings({"webhooks": {"timeout_s": 1.0, "tries": 1}}).webhooks, told.append)
        courier.start()
        courier.post(server.url, {"n": 1})
        courier.post(server.url, {"n": 2})
        wait_until(lambda: len(server.asked) == 2, "the second message")
        wait_until(lambda: not courier.n_waiting, "both are delivered")
        courier.stop()
    assert told == []
