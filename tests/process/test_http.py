"""The HTTP contract of thin devices, against a real server with scripted backends."""

from __future__ import annotations

import io
import json
import socket
import threading
import wave
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest
import requests

from tests.serving import RunningService, fetch_reply, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes(session={"max_queued_turns": 4})) as running:
        yield running


def texts(segments: list[requests.Response]) -> list[str]:
    return [unquote(segment.headers["X-Text"]) for segment in segments]


def wav_seconds(body: bytes) -> float:
    with wave.open(io.BytesIO(body)) as file:
        return file.getnframes() / file.getframerate()


def test_the_original_client_works(service: RunningService) -> None:
    """POST the bytes, then GET audio until 204: nothing else is needed."""
    assert requests.post(service.url + "/upload", data=speech_wav(5)).status_code == 200
    segments = fetch_reply(service)
    assert texts(segments) == ["You said utterance 5.", "That was turn 1."]
    assert all(wav_seconds(segment.content) > 0.1 for segment in segments)
    assert all(int(segment.headers["Content-Length"]) == len(segment.content) for segment in segments)


def test_upload_says_what_became_of_it(service: RunningService) -> None:
    """The answer names session, turn, length and where the reply will be."""
    answer = service.post("/upload?session=desk", data=speech_wav(5, seconds=1.5)).json()
    assert answer["session"] == "desk"
    assert answer["duration_s"] == 1.5
    assert service.get(answer["audio_url"]).status_code == 200


def test_a_chunked_body_starts_before_it_ends(service: RunningService) -> None:
    """The turn of a chunked upload has started while half of its body is still to come."""
    body = speech_wav(6, seconds=2.0)
    started = threading.Event()

    def halves() -> Iterator[bytes]:
        yield body[: len(body) // 2]
        assert started.wait(20), "the turn did not start before the body ended"
        yield body[len(body) // 2 :]

    def watch() -> None:
        with service.get("/events?session=stream", stream=True) as events:
            for line in events.iter_lines():
                if line == b"event: turn_started":
                    started.set()
                    return

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert service.post("/upload?session=stream", data=halves()).status_code == 200
    watcher.join()
    assert texts(fetch_reply(service, "&session=stream"))[0] == "You said utterance 6."


@pytest.mark.parametrize(
    ("audio_format", "mimetype", "magic"),
    [
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm;rate=8000", b""),
        ("opus", "audio/ogg", b"OggS"),
        ("mp3", "audio/mpeg", b""),
    ],
)
def test_formats_and_rates(service: RunningService, audio_format: str, mimetype: str, magic: bytes) -> None:
    """A device gets what it can play."""
    service.post(f"/upload?session=f-{audio_format}", data=speech_wav(5))
    response = service.get(f"/audio?session=f-{audio_format}&format={audio_format}&rate=8000")
    assert response.headers["Content-Type"] == mimetype
    assert response.content.startswith(magic)
    assert len(response.content) > 100


def test_talk_is_one_request(service: RunningService) -> None:
    """POST /talk answers with the whole reply as one WAV, and leaves nothing for pollers."""
    response = service.post("/talk?session=talk", data=speech_wav(9))
    assert response.headers["Content-Type"] == "audio/wav"
    assert response.content.startswith(b"RIFF")
    assert len(response.content) > 16_000
    assert service.get("/audio?session=talk&timeout=0").status_code == 404


def test_a_stream_holds_the_whole_reply(service: RunningService) -> None:
    """GET /audio?stream=1 gives all sentences at once, and pollers hear nothing twice."""
    service.post("/upload?session=whole", data=speech_wav(9))
    one = service.get("/audio?session=whole&stream=1&format=pcm")
    assert one.headers["Content-Type"] == "audio/pcm;rate=16000"
    assert len(one.content) > 16_000
    assert service.get("/audio?session=whole&timeout=0").status_code == 404


def test_a_segment_can_be_fetched_again(service: RunningService) -> None:
    """A device that lost the connection gets the same bytes for the same segment."""
    turn = service.post("/upload?session=again", data=speech_wav(5)).json()["turn"]
    first, _ = fetch_reply(service, "&session=again")
    again = service.get(f"/audio?session=again&turn={turn}&segment=0")
    assert again.content == first.content
    missing = service.get(f"/audio?session=again&turn={turn}&segment=99")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown-segment")


def test_two_pollers_share_a_reply(service: RunningService) -> None:
    """Each segment goes to exactly one of them; one that comes after the end waits for the next reply."""
    got: list[requests.Response] = []

    def poll() -> None:
        while (response := service.get("/audio?session=two&timeout=3")).status_code == 200:
            got.append(response)

    pollers = [threading.Thread(target=poll) for _ in range(2)]
    for poller in pollers:
        poller.start()
    service.post("/upload?session=two", data=speech_wav(5))
    for poller in pollers:
        poller.join(60)
    assert sorted(texts(got)) == ["That was turn 1.", "You said utterance 5."]


def test_a_broken_transfer_leaves_the_segment_next_in_line(service: RunningService) -> None:
    """A client that disconnects half-way has not heard the sentence; the next GET gives it again."""
    service.post("/say?session=broken", data=speech_wav(5, seconds=30.0))
    host = urlsplit(service.url)
    with socket.create_connection((host.hostname, host.port)) as connection:
        # A receive buffer far smaller than the segment keeps the server from handing over all of it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /audio?session=broken&rate=48000 HTTP/1.1\r\nHost: earshot\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    again = service.get("/audio?session=broken&timeout=30")
    assert again.status_code == 200
    assert again.headers["X-Segment"] == "0"
    assert service.get("/audio?session=broken").status_code == 204


def test_saying_a_text_and_a_sound(service: RunningService) -> None:
    """A device can be spoken to without asking."""
    assert service.post("/say?session=say", json={"text": "Dinner is ready."}).status_code == 200
    assert texts(fetch_reply(service, "&session=say")) == ["Dinner is ready."]
    service.post("/say?session=say", data=speech_wav(1, seconds=1.0))
    (sound,) = fetch_reply(service, "&session=say")
    assert wav_seconds(sound.content) == pytest.approx(1.0)


def test_interrupting(service: RunningService) -> None:
    """What was not delivered is dropped, and pollers are told at once."""
    turn = service.post("/upload?session=stop", data=speech_wav(5)).json()["turn"]
    assert service.post("/interrupt?session=stop").json()["cancelled"] == [turn]
    assert service.get("/audio?session=stop").status_code == 204
    assert service.post("/interrupt?session=stop").json()["cancelled"] == []


def test_an_upload_that_interrupts(service: RunningService) -> None:
    """?interrupt=1 cancels the turn in progress; only the new reply is heard."""
    service.post("/upload?session=over", data=speech_wav(5))
    service.post("/upload?session=over&interrupt=1", data=speech_wav(6))
    assert texts(fetch_reply(service, "&session=over"))[0] == "You said utterance 6."


def test_uploads_queue_in_order(service: RunningService) -> None:
    """Two uploads at once are answered one after the other; nothing is lost."""
    for number in (5, 6, 7):
        assert service.post("/upload?session=queue", data=speech_wav(number)).status_code == 200
    replies = [texts(fetch_reply(service, "&session=queue"))[0] for _ in range(3)]
    assert replies == [f"You said utterance {number}." for number in (5, 6, 7)]


def test_a_silent_upload(service: RunningService) -> None:
    """Silence is no error: the turn ends at once and /audio says 204."""
    assert service.post("/upload?session=silent", data=speech_wav(0)).status_code == 200
    assert service.get("/audio?session=silent").status_code == 204


def test_the_waterfall_of_a_turn(service: RunningService) -> None:
    """A turn tells when each of its steps happened, in order."""
    turn = service.post("/upload?session=fall", data=speech_wav(5)).json()["turn"]
    fetch_reply(service, "&session=fall")
    shown = service.get(f"/turns/{turn}?session=fall").json()
    assert shown["state"] == "done"
    assert shown["heard"] == "utterance 5"
    marks = shown["waterfall_ms"]
    steps = [
        "received",
        "uploaded",
        "started",
        "transcript",
        "prompt",
        "first_token",
        "first_sentence",
        "first_speech",
        "first_fetch",
    ]
    assert set(steps) <= set(marks)
    assert [marks[step] for step in steps] == sorted(marks[step] for step in steps)


def test_events_tell_the_story(service: RunningService) -> None:
    """Server-sent events carry the whole turn, and a reader can go on where it stopped."""
    service.post("/upload?session=story", data=speech_wav(5))
    fetch_reply(service, "&session=story")
    numbers, names = [], []
    with service.get("/events?session=story", stream=True) as response:
        for line in response.iter_lines():
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                numbers.append(event["number"])
                names.append(event["event"])
                if names.count("segment_delivered") == 2 and "analysis_ready" in names:
                    break
    assert numbers == list(range(1, len(numbers) + 1))
    assert names[0] == "turn_started"
    with service.get("/events?session=story", headers={"Last-Event-ID": "3"}, stream=True) as response:
        assert next(line for line in response.iter_lines() if line.startswith(b"id: ")) == b"id: 4"


def test_the_events_of_all_sessions(service: RunningService) -> None:
    """?session=* follows every session."""
    with service.get("/events?session=*", stream=True) as response:
        lines = response.iter_lines()
        assert next(lines) == b": welcome"
        service.post("/upload?session=one-of-all", data=speech_wav(0))
        event = json.loads(next(line for line in lines if line.startswith(b"data: "))[6:])
    assert event["session"] == "one-of-all"


def test_metrics_count_turns(service: RunningService) -> None:
    """Prometheus sees turns by outcome and the latency of each stage."""
    service.post("/talk?session=count", data=speech_wav(5))
    text = service.get("/metrics").text
    assert 'earshot_turns_total{outcome="done"}' in text
    assert 'earshot_stage_run_seconds_count{stage="tts"}' in text


def test_health_and_readiness(service: RunningService) -> None:
    """/health tells of every stage, /ready that all of them can work."""
    assert set(service.get("/health").json()["stages"]) == {"stt", "llm", "tts", "analysis"}
    assert service.get("/ready").json() == {"status": "ready"}
    assert "Earshot" in service.get("/").text
