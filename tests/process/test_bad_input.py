"""What devices send by mistake or by malice: each is answered clearly, and the service goes on."""

from __future__ import annotations

import io
import socket
import struct
import threading
import wave
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.serving import RunningService, fetch_reply, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes(server={"max_body_mb": 20.0, "max_utterance_s": 20.0})) as running:
        yield running
        # Whatever came before, the service still answers.
        running.post("/upload?session=after-all", data=speech_wav(5))
        assert len(fetch_reply(running, "&session=after-all")) == 2


def stereo_24_bit(seconds: float) -> bytes:
    samples = b"".join(struct.pack("<i", (i % 200) * 20_000)[:3] * 2 for i in range(round(8_000 * seconds)))
    with io.BytesIO() as body:
        with wave.open(body, "wb") as file:
            file.setparams((2, 3, 8_000, 0, "NONE", ""))
            file.writeframes(samples)
        return body.getvalue()


def lying_wav() -> bytes:
    """Return a WAV that says it has 2^32 - 1 bytes of data."""
    body = bytearray(speech_wav(5))
    body[4:8] = body[40:44] = b"\xff\xff\xff\xff"
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "bad-audio"),
        (b"\x00", {}, 400, "bad-audio"),
        (b"what time is it?" * 20, {"Content-Type": "audio/wav"}, 400, "bad-audio"),
        (b"RIFF\x00\x00\x00\x00WAVE", {"Content-Type": "audio/wav"}, 400, "bad-audio"),
        (b"what time is it?" * 20, {"Content-Type": "text/plain"}, 415, "unsupported-audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), {"Content-Type": "image/png"}, 415, "unsupported-audio"),
        (bytes(21_000_000), {"Content-Type": "audio/wav"}, 413, "audio-too-large"),
        (speech_wav(5, seconds=21.0), {}, 413, "audio-too-large"),
        (lying_wav(), {}, 200, ""),
        (stereo_24_bit(1.0), {}, 200, ""),
        (speech_wav(5)[44:], {"Content-Type": "audio/L16;rate=16000"}, 200, ""),
        (speech_wav(5), {"Content-Type": "application/x-strange"}, 200, ""),
        (speech_wav(5) + b"\x00", {}, 200, ""),
    ],
)
def test_bodies(service: RunningService, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    """Each body has a clear answer: taken, or refused with a code and a sentence that says what to do."""
    response = service.post("/upload?session=bodies&interrupt=1", data=body, headers=headers)
    assert response.status_code == status, response.text
    if code:
        assert response.json()["error"]["code"] == code
        assert len(response.json()["error"]["message"]) > 20


def test_the_same_bodies_in_chunks(service: RunningService) -> None:
    """A chunked body is judged as strictly as a whole one, and its turn is forgotten when it is bad."""
    too_long = speech_wav(5, seconds=21.0)
    pieces = (too_long[i : i + 32_000] for i in range(0, len(too_long), 32_000))
    response = service.post("/upload?session=chunks", data=pieces)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "audio-too-large")
    response = service.post(
        "/upload?session=chunks", data=iter([b"what ", b"time?" * 50]), headers={"Content-Type": "audio/wav"}
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad-audio")
    assert service.get("/audio?session=chunks&timeout=0").status_code == 404


def test_a_body_of_200_megabytes(service: RunningService) -> None:
    """A body far over the limit is refused by its declared length alone."""
    host = urlsplit(service.url)
    with socket.create_connection((host.hostname, host.port), timeout=20) as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: earshot\r\nContent-Length: 200000000\r\n\r\nRIFF")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "path",
    [
        "/audio?timeout=abc", "/audio?timeout=-1", "/audio?timeout=61", "/audio?timeout=nan", "/audio?format=ogg4",
        "/audio?rate=1", "/audio?rate=fast", "/audio?session=" + "x" * 65, "/audio?session=a/b/c",
        "/audio?stream=maybe", "/events?after=x",
    ],
)  # fmt: skip
def test_parameters(service: RunningService, path: str) -> None:
    """A parameter that is not allowed is named, with its value and what is allowed."""
    response = service.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad-request")
    assert "allowed" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/audio?session=never-seen&timeout=0", 404, "nothing-yet"),
        ("POST", "/interrupt?session=nobody", 404, "unknown-session"),
        ("GET", "/turns/nothing?session=nobody", 404, "unknown-session"),
        ("GET", "/turns/nothing?session=never-seen", 404, "unknown-turn"),
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/upload", 405, "method-not-allowed"),
        ("POST", "/say?session=s", 400, "bad-audio"),
    ],
)
def test_what_is_not_there(service: RunningService, method: str, path: str, status: int, code: str) -> None:
    """An unknown session, turn, route or method is told as JSON."""
    answer = service.get(path) if method == "GET" else service.post(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("body", ["[1]", "nonsense", '{"text": ""}', '{"text": 5}', "null"])
def test_say_wants_text(service: RunningService, body: str) -> None:
    """POST /say with JSON that holds no text is refused."""
    response = service.post("/say?session=say", data=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad-request")


def test_forms(service: RunningService) -> None:
    """A form with one file is taken, with none or two it is not."""
    one = {"file": ("q.wav", speech_wav(5), "audio/wav")}
    assert service.post("/upload?session=forms", files=one).status_code == 200
    two = {"a": ("a.wav", speech_wav(5)), "b": ("b.wav", speech_wav(5))}
    assert service.post("/upload?session=forms", files=two).json()["error"]["code"] == "bad-audio"


def test_a_client_that_leaves_in_the_middle_of_its_upload(service: RunningService) -> None:
    """Half an utterance is never answered, whether its length was declared or not."""
    host = urlsplit(service.url)
    half = speech_wav(5, seconds=2.0)[:32_000]
    for framing in (b"Content-Length: 64044\r\n\r\n" + half, b"Transfer-Encoding: chunked\r\n\r\n7d00\r\n" + half):
        with socket.create_connection((host.hostname, host.port)) as connection:
            connection.sendall(b"POST /upload?session=half HTTP/1.1\r\nHost: earshot\r\n" + framing)
    service.post("/upload?session=half", data=speech_wav(6))
    assert fetch_reply(service, "&session=half")[0].headers["X-Text"] == "You%20said%20utterance%206."


def test_a_client_that_leaves_while_it_waits(service: RunningService) -> None:
    """A poller that has gone does not swallow the reply of the next one."""
    host = urlsplit(service.url)
    with socket.create_connection((host.hostname, host.port)) as connection:
        connection.sendall(b"GET /audio?session=gone HTTP/1.1\r\nHost: earshot\r\n\r\n")
    service.post("/upload?session=gone", data=speech_wav(6))
    assert len(fetch_reply(service, "&session=gone")) == 2


def test_get_before_post(service: RunningService) -> None:
    """A device that asks first waits, and gets the reply when there is one."""
    got = []
    poller = threading.Thread(target=lambda: got.extend(fetch_reply(service, "&session=early")))
    poller.start()
    service.post("/upload?session=early", data=speech_wav(6))
    poller.join(30)
    assert len(got) == 2


def test_a_flood_of_uploads_in_one_session(service: RunningService) -> None:
    """A session that never fetches is stopped at its limit, with a hint when to come back."""
    answers = [service.post("/upload?session=flood", data=speech_wav(5)) for _ in range(4)]
    assert {answer.status_code for answer in answers} <= {200, 429}


def test_head_takes_nothing_away(service: RunningService) -> None:
    """HEAD /audio is refused, since it would swallow a sentence."""
    service.post("/upload?session=head", data=speech_wav(5))
    response = requests.head(service.url + "/audio?session=head", timeout=20)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")
    assert len(fetch_reply(service, "&session=head")) == 2


def test_two_uploads_at_once(service: RunningService) -> None:
    """Utterances that arrive in the same moment are both answered, one after the other."""
    uploads = [
        threading.Thread(target=lambda n=n: service.post("/upload?session=both", data=speech_wav(n)))  # type: ignore[misc]
        for n in (5, 6)
    ]
    for upload in uploads:
        upload.start()
    for upload in uploads:
        upload.join(30)
    firsts = [fetch_reply(service, "&session=both")[0].headers["X-Text"] for _ in uploads]
    assert sorted(firsts) == ["You%20said%20utterance%205.", "You%20said%20utterance%206."]
