"""What clients/talk.py tells and does when something goes wrong, as a process of its own against a real service."""

from __future__ import annotations

import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clients.service import BUSY_TRIES, Lost, Reply, Service
from tests.clients.stand_ins import (
    Device,
    breaking_connection,
    expect_s,
    install,
    read_duration_s,
    refusing_service,
)
from tests.serving import RunningService, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process

REPLY = ["You said utterance 215.", "That was turn 1."]
TOKEN = "the-token-of-the-kitchen"


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    """A service with a token and room for two turns."""
    failing = {"fail": "error", "fail_on": "utterance 77"}
    server = {"tokens": {"kitchen": TOKEN}, "max_open_turns": 2}
    with serve(with_fakes(llm={"fake": failing}, server=server)) as running:
        yield running


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def device(tmp_path: Path, service: RunningService) -> Device:
    return Device(tmp_path, service.url, EARSHOT_TOKEN=TOKEN)


@contextmanager
def unfinished_upload(service: RunningService, session: str) -> Iterator[None]:
    """Keep a turn open: somebody is still speaking."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"POST /upload?session={session}&token={TOKEN}&rate=16000 HTTP/1.1\r\nHost: earshot\r\n"
        speech = speech_wav(215)[44:]
        body = b"%x\r\n%s\r\n" % (len(speech), speech)
        with service.get(f"/events?session={session}&token={TOKEN}", stream=True) as events:
            connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
            assert b"event: turn_started" in events.iter_lines()
        yield
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 200")


def test_a_failed_turn_is_told_after_its_apology(device: Device, session: str) -> None:
    """The apology is played, the reason told, and the exit status is 1."""
    (device.folder / "question.wav").write_bytes(speech_wav(77))
    status, told, errors = device.talk("question.wav", "--session", session, "--save", "reply.wav")
    assert status == 1
    assert "1: Sorry, something went wrong." in told
    assert "the turn failed with backend-unavailable" in errors


@pytest.mark.parametrize("way", [[], ["--talk"]])
def test_a_silent_recording_has_no_reply(device: Device, session: str, way: list[str]) -> None:
    """Silence ends with exit status 1 and a line that says that nothing was heard."""
    (device.folder / "question.wav").write_bytes(speech_wav(0))
    status, _, errors = device.talk("question.wav", "--session", session, "--save", "reply.wav", *way)
    assert status == 1
    assert "nothing was heard" in errors


def test_a_body_that_is_no_sound_is_told(device: Device) -> None:
    """The service's own message is shown."""
    (device.folder / "question.wav").write_text("These are words and no sound at all.")
    status, _, errors = device.talk("question.wav")
    assert status == 1
    assert "400 bad-audio: the body is text" in errors


@pytest.mark.parametrize("losses", [[0.0], [0.6], [0.9, 0.0, 0.5]])
def test_a_lost_sentence_is_asked_again(
    device: Device, service: RunningService, session: str, losses: list[float]
) -> None:
    """Whether nothing or half of an answer came through, every sentence is heard, once and whole."""
    with breaking_connection(service.url, list(losses)) as url:
        device.environ["EARSHOT_URL"] = url
        status, told, _ = device.talk("question.wav", "--session", session)
    assert status == 0
    assert told.count("the connection was lost") == len(losses)
    assert [read_duration_s(wav) for wav in device.heard()] == [expect_s(text) for text in REPLY]


def test_a_connection_that_stays_lost_is_given_up(
    service: RunningService, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence is asked for once more after each of the waits, and then no more."""
    monkeypatch.setattr("clients.service.LOST_WAITS_S", (0.0, 0.0))
    told: list[str] = []
    with breaking_connection(service.url, [0.0] * 9) as url:
        client = Service(url, TOKEN, session, told.append)
        turn = client.call("POST", "/upload", data=speech_wav(215)).json()["turn"]
        with pytest.raises(Lost, match="does not answer"):
            next(Reply(client, turn).sentences())
    assert told == ["the connection was lost; asking again in 0 s"] * 2


def test_a_lost_end_is_noticed(device: Device, service: RunningService, session: str) -> None:
    """When the answer that tells the end is lost, the turn itself tells it."""
    with breaking_connection(service.url, [1.0, 1.0, 0.0]) as url:
        device.environ["EARSHOT_URL"] = url
        status, told, _ = device.talk("question.wav", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert told.splitlines()[-1].endswith("end")


def test_ctrl_c_ends_the_turn(device: Device, service: RunningService, session: str) -> None:
    """Whoever stops the program does not want to hear its reply next time."""
    with unfinished_upload(service, session), device.start("question.wav", "--session", session) as process:
        assert process.stdout is not None
        turn = process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        state = service.get(f"/turns/{turn}?session={session}&token={TOKEN}").json()["state"]
        assert state == "cancelled"


def test_a_player_that_fails_is_told(device: Device, session: str) -> None:
    """A reply that could not be played is no success."""
    install(device.commands, aplay="raise SystemExit(3)")
    status, _, errors = device.talk("question.wav", "--session", session)
    assert status == 1
    assert "aplay ended with status 3" in errors


def test_a_service_that_is_not_there(device: Device) -> None:
    """The message says how to start it, and the exit status is 2."""
    with breaking_connection("http://unused", []) as url:
        pass
    status, _, errors = device.talk("question.wav", "--url", url)
    assert status == 2
    assert "does not answer" in errors
    assert "scripts/run" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.wav"],
        ["question.wav", "--say", "both"],
        ["--talk", "--say", "both"],
        ["--say", "x", "--url", "nonsense"],
    ],
)
def test_wrong_usage(device: Device, arguments: list[str]) -> None:
    """What cannot be done is said before anything is sent, with exit status 2."""
    status, _, errors = device.talk(*arguments)
    assert status == 2
    assert errors.splitlines()[-1].startswith("talk.py: ")


@pytest.mark.parametrize("token", ["", "the-wrong-token"])
def test_a_missing_token_is_told(device: Device, token: str) -> None:
    """The message says where the token goes, shows none, and the exit status is 2."""
    device.environ["EARSHOT_TOKEN"] = token
    status, _, errors = device.talk("question.wav")
    assert status == 2
    assert "--token" in errors
    assert "the-wrong-token" not in errors


def test_a_token_as_an_option(device: Device, session: str) -> None:
    """--token wins over the environment."""
    device.environ["EARSHOT_TOKEN"] = "the-wrong-token"
    assert device.talk("question.wav", "--token", TOKEN, "--session", session, "--save", "reply.wav")[0] == 0


def test_nobody_speaks_to_a_service_that_does_not_listen(device: Device) -> None:
    """A token that is not known is told before the microphone is opened."""
    device.environ["EARSHOT_TOKEN"] = "the-wrong-token"
    status, told, errors = device.talk()
    assert status == 2
    assert "speak now" not in told
    assert "--token" in errors


def test_a_busy_service_is_asked_again(device: Device, service: RunningService, session: str) -> None:
    """Speech that came while the service was full is sent a second time, after the time that it asked for."""
    with (
        device.start("-", "--session", session, "--save", "reply.wav", stdin=subprocess.PIPE) as process,
        unfinished_upload(service, "first"),
    ):
        with unfinished_upload(service, "second"):
            assert process.stdin is not None
            process.stdin.buffer.write(speech_wav(215))
            process.stdin.close()
            assert process.stdout is not None
            assert "2 turns are open" in process.stdout.readline()
        told = process.stdout.read()
        assert process.wait(60) == 0
        assert REPLY[0] in told


def test_a_busy_service_is_not_asked_for_ever(device: Device) -> None:
    """After some refusals the service's message is the last word."""
    with refusing_service() as (url, refused):
        status, told, errors = device.talk("question.wav", "--url", url)
    assert status == 1
    assert refused == ["/upload"] * BUSY_TRIES
    assert told.count("no room; trying again in 0.1 s") == BUSY_TRIES - 1
    assert "503 overloaded: no room" in errors


def test_something_else_behind_the_address(device: Device) -> None:
    """An address where no Earshot answers is told as such."""
    status, _, errors = device.talk("question.wav", "--url", f"{device.environ['EARSHOT_URL']}/elsewhere")
    assert status == 2
    assert "is no Earshot service" in errors
