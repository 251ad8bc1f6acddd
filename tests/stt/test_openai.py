"""OpenAiStt against a stand-in server."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.backends import build_config
from app.errors import BackendError, BackendUnavailable, ConfigError
from app.stt.backend import Hypothesis
from app.stt.openai import OpenAiStt
from tests.standins.openai_scenario import STATUS_ERRORS, STREAM_ERRORS, Behaviour, loaded, patience_s
from tests.standins.openai_server import TRANSCRIPT, OpenAiStandIn

CHUNKS = [b"\x01\x02" * 800, b"\x03\x04\x05", b"\x06" * 1597]


def hear(server: OpenAiStandIn, **settings: Any) -> list[Hypothesis]:
    """Return all hypotheses about CHUNKS."""
    with loaded(OpenAiStt, server.base_url, **settings) as backend:
        return list(backend.transcribe(iter(CHUNKS)))


def test_utterance_is_one_wav_file() -> None:
    """All chunks arrive as one WAV with a name that servers accept, and the answer is the one final hypothesis."""
    with OpenAiStandIn() as server:
        assert hear(server) == [Hypothesis(TRANSCRIPT, is_final=True)]
    received = server.requests[0]
    assert (received.file_name, received.form["model"]) == ("speech.wav", "Systran/faster-whisper-small")
    with wave.open(io.BytesIO(received.file)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (16_000, 1, 2)
        assert reader.readframes(10_000) == b"".join(CHUNKS)


def test_settings_reach_the_server() -> None:
    """Language, prompt and further fields are sent as fields of the form."""
    with OpenAiStandIn() as server:
        final = hear(server, language="de", prompt="Earshot", extra_body={"hotwords": "Licht", "temperature": 0})
    form = server.requests[0].form
    assert (form["language"], form["prompt"], form["hotwords"], form["temperature"]) == ("de", "Earshot", "Licht", "0")
    assert final == [Hypothesis(TRANSCRIPT, is_final=True, language="de")]


def test_request_is_lean() -> None:
    """Fields that are not configured are not sent."""
    with OpenAiStandIn() as server:
        hear(server)
    assert set(server.requests[0].form) == {"model", "response_format"}


@pytest.mark.parametrize(("n_bytes", "n_requests"), [(0, 0), (1, 0), (2, 1)])
def test_no_sound_needs_no_server(n_bytes: int, n_requests: int) -> None:
    """An utterance without a sample is answered at once."""
    with OpenAiStandIn() as server, loaded(OpenAiStt, server.base_url) as backend:
        hypotheses = list(backend.transcribe([b"\0" * n_bytes]))
    assert (hypotheses[-1].is_final, len(server.requests)) == (True, n_requests)


@pytest.mark.parametrize("text", ["", " ", None])
def test_silence_is_an_empty_final(text: str | None) -> None:
    """An empty transcript says that nothing was spoken; it is no error."""
    with OpenAiStandIn([Behaviour(answer={"text": text})]) as server:
        assert hear(server) == [Hypothesis("", is_final=True)]


def test_streaming_gives_partials_then_the_final() -> None:
    """Events grow into partial hypotheses; the last event is the final one."""
    with OpenAiStandIn([Behaviour(text="Wie spät ist es?")]) as server:
        hypotheses = hear(server, stream=True)
    assert hypotheses == [
        Hypothesis("Wie", is_final=False),
        Hypothesis("Wie spät", is_final=False),
        Hypothesis("Wie spät ist", is_final=False),
        Hypothesis("Wie spät ist es?", is_final=False),
        Hypothesis("Wie spät ist es?", is_final=True),
    ]


def test_streaming_is_ignored_by_some_servers() -> None:
    """A server that answers plain JSON although events were asked for is understood."""
    with OpenAiStandIn([Behaviour(answer={"text": "Hello."})]) as server:
        assert hear(server, stream=True)[-1] == Hypothesis("Hello.", is_final=True)


@pytest.mark.parametrize(
    "events",
    [
        'data: {"text": "What time"}\n\ndata: {"text": " is it?"}\n\n',
        'data: {"choices": [{"delta": {"content": "What time "}}]}\n\n'
        'data: {"choices": [{"delta": {"content": "is it?"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
        'data: {"type": "transcript.text.segment", "text": "What", "speaker": "A"}\n\n'
        'data: {"type": "transcript.text.done", "text": "What time is it?"}\n\n',
    ],
    ids=["plain-parts", "vllm", "segments"],
)
def test_other_shapes_of_events(events: str) -> None:
    """Servers that stream in shapes of their own are understood."""
    with OpenAiStandIn([Behaviour(answer=events)]) as server:
        assert hear(server, stream=True)[-1] == Hypothesis("What time is it?", is_final=True)


def test_json_shape_of_openrouter() -> None:
    """The sound can be sent inside JSON."""
    with OpenAiStandIn() as server:
        assert hear(server, request_shape="json", language="en", extra_body={"provider": {"zdr": True}}) == [
            Hypothesis(TRANSCRIPT, is_final=True, language="en")
        ]
    received = server.requests[0]
    assert received.json["input_audio"]["format"] == "wav"
    assert (received.json["language"], received.json["provider"]) == ("en", {"zdr": True})
    assert received.file.startswith(b"RIFF")
    assert received.file.endswith(b"".join(CHUNKS))


def test_segments_of_silence_are_dropped() -> None:
    """What Whisper invents for silence is dropped when it says itself that nobody spoke."""
    segments = [{"text": " Lights on.", "no_speech_prob": 0.02}, {"text": " Thank you.", "no_speech_prob": 0.9}]
    answer = {"text": "Lights on. Thank you.", "language": "english", "segments": segments}
    with OpenAiStandIn([Behaviour(answer=answer)]) as server:
        assert hear(server, max_no_speech_prob=0.6) == [Hypothesis("Lights on.", is_final=True)]
    assert server.requests[0].form["response_format"] == "verbose_json"


def test_answer_without_segments_is_kept() -> None:
    """A server that tells no probabilities is believed."""
    with OpenAiStandIn([Behaviour(answer={"text": "Lights on.", "segments": []})]) as server:
        assert hear(server, max_no_speech_prob=0.6)[-1].text == "Lights on."


@pytest.mark.parametrize(
    ("answer", "language"),
    [({"language": "de"}, "de"), ({"language": "german"}, ""), ({"languages": ["zh-CN"]}, "zh-CN"), ({}, "")],
)
def test_language_is_told_as_a_tag(answer: dict[str, Any], language: str) -> None:
    """The language of the answer is passed on when it is a tag."""
    with OpenAiStandIn([Behaviour(answer={"text": "Hallo.", **answer})]) as server:
        assert hear(server) == [Hypothesis("Hallo.", is_final=True, language=language)]


@pytest.mark.parametrize(
    "settings",
    [
        {"max_no_speech_prob": 0.6, "stream": True},
        {"max_no_speech_prob": 0.6, "request_shape": "json"},
        {"stream": True, "request_shape": "json"},
    ],
)
def test_settings_that_exclude_each_other(settings: dict[str, Any]) -> None:
    """What no server can do is refused at start."""
    with pytest.raises(ConfigError):
        build_config(OpenAiStt.Config, settings, "stt.openai")


@pytest.mark.parametrize("request_shape", ["multipart", "json"])
@pytest.mark.parametrize(("failure", "error"), STATUS_ERRORS.items())
def test_failure_before_the_answer(failure: str, error: type[BackendError], request_shape: str) -> None:
    """Each failure becomes exactly the error that says what helps."""
    with OpenAiStandIn([failure]) as server, pytest.raises(error) as caught:
        hear(server, read_timeout_s=patience_s(failure), request_shape=request_shape)
    assert type(caught.value) is error


SECOND = b"\x01\x02" * 16_000


def hear_slowly(server: OpenAiStandIn, n_seconds: int, **settings: Any) -> tuple[list[Hypothesis], list[int]]:
    """Return all hypotheses about speech of which each second is asked about before the next one comes.

    With them the seconds of speech in each request.
    """
    n_asked = n_seconds if settings.get("interim_s") else 0
    with loaded(OpenAiStt, server.base_url, **settings) as backend:

        def chunks() -> Iterator[bytes]:
            for n_requests in range(n_seconds):
                yield SECOND
                wait_until(lambda n=n_requests: len(server.requests) >= min(n + 1, n_asked))  # type: ignore[misc]
                wait_until(lambda: not any(thread.name == "interim-request" for thread in threading.enumerate()))

        hypotheses = list(backend.transcribe(chunks()))
    return hypotheses, [round(len(received.file) / len(SECOND)) for received in server.requests]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Come back when it is so."""
    pause = threading.Event()
    for _ in range(2000):
        if is_so():
            return
        pause.wait(0.005)
    raise AssertionError("it never was so")


def test_interim_requests() -> None:
    """While speech arrives, each request has all of it so far; the last one alone is final."""
    texts = ["What", "What time", "What time is", "What time is it?"]
    with OpenAiStandIn([Behaviour(text=text) for text in texts]) as server:
        hypotheses, seconds = hear_slowly(server, 3, interim_s=0.5)
    assert seconds == [1, 2, 3, 3]
    *partial, final = hypotheses
    assert [hypothesis.text for hypothesis in partial] == texts[:2]
    assert not any(hypothesis.is_final for hypothesis in partial)
    assert final == Hypothesis(texts[3], is_final=True)


def test_no_interim_requests_by_default() -> None:
    """Nothing is asked before the utterance is complete unless it is wished."""
    with OpenAiStandIn() as server:
        hypotheses, seconds = hear_slowly(server, 3)
    assert (len(hypotheses), seconds) == (1, [3])


@pytest.mark.parametrize("failure", ["500", "401", "429", "garbage-event", "reset-after"])
def test_a_failing_interim_request_is_ignored(failure: str) -> None:
    """It is not tried again, and the final transcript comes all the same."""
    with OpenAiStandIn([failure]) as server:
        hypotheses, seconds = hear_slowly(server, 1, interim_s=1.0)
    assert hypotheses[-1] == Hypothesis(TRANSCRIPT, is_final=True)
    assert len(seconds) == 2


def test_a_stalled_interim_request_delays_nothing() -> None:
    """There is one at a time, and the final transcript does not wait for it."""
    with OpenAiStandIn(["stall"]) as server, loaded(OpenAiStt, server.base_url, interim_s=0.5) as backend:

        def chunks() -> Iterator[bytes]:
            yield SECOND
            wait_until(lambda: len(server.requests) == 1)
            yield SECOND
            yield SECOND

        assert list(backend.transcribe(chunks())) == [Hypothesis(TRANSCRIPT, is_final=True)]
        assert len(server.requests) == 2


@pytest.mark.parametrize("failure", ["stall-after", "reset-after", "eof-after"])
def test_failure_in_a_plain_answer(failure: str) -> None:
    """Half an answer is an error."""
    with OpenAiStandIn([failure]) as server, pytest.raises(STREAM_ERRORS[failure]) as caught:
        hear(server, read_timeout_s=patience_s(failure))
    assert type(caught.value) is STREAM_ERRORS[failure]


@pytest.mark.parametrize(("failure", "error"), STREAM_ERRORS.items())
def test_failure_in_streamed_answer(failure: str, error: type[BackendError]) -> None:
    """A stream that breaks off never gives a final hypothesis."""
    heard: list[Hypothesis] = []
    with (
        OpenAiStandIn([failure]) as server,
        loaded(OpenAiStt, server.base_url, stream=True, read_timeout_s=patience_s(failure)) as backend,
        pytest.raises(error) as caught,
    ):
        heard.extend(backend.transcribe(CHUNKS))
    assert type(caught.value) is error
    assert not any(hypothesis.is_final for hypothesis in heard)


def test_wrong_kind_of_json_is_an_error() -> None:
    """An answer that is JSON but no object is an error of the server."""
    behaviour = Behaviour(answer="[1, 2]", content_type="application/json")
    with OpenAiStandIn([behaviour]) as server, pytest.raises(BackendUnavailable, match="list"):
        hear(server)
