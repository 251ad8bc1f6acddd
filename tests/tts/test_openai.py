"""OpenAiTts against a stand-in server."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from app.backends import build_config
from app.errors import BackendError, BackendRejected, BackendUnavailable, ConfigError
from app.tts.backend import Speech
from app.tts.openai import OpenAiTts
from tests.standins.openai_scenario import STATUS_ERRORS, STREAM_ERRORS, Behaviour, loaded, patience_s
from tests.standins.openai_server import OpenAiStandIn, sine, wav_header

TEXT = "It is twelve o'clock."
SOUND = sine(len(TEXT))
LIST_CHUNK = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"


def speak(server: OpenAiStandIn, voice: str = "", **settings: Any) -> list[Speech]:
    """Return all pieces of the spoken TEXT."""
    with loaded(OpenAiTts, server.base_url, **settings) as backend:
        return list(backend.synthesize(TEXT, voice))


def joined(pieces: list[Speech]) -> bytes:
    """Return the whole sound, having checked that each piece keeps the contract."""
    assert all(piece.pcm16 and len(piece.pcm16) % 2 == 0 for piece in pieces)
    assert len({piece.sample_rate for piece in pieces}) == 1
    return b"".join(piece.pcm16 for piece in pieces)


@pytest.mark.parametrize("response_format", ["pcm", "wav"])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_speech_is_streamed(response_format: str, stream_format: str) -> None:
    """Odd chunks become whole samples, with and without a header of unknown length, bare and in events."""
    with OpenAiStandIn() as server:
        pieces = speak(server, response_format=response_format, stream_format=stream_format)
    assert joined(pieces) == SOUND
    assert pieces[0].sample_rate == 24_000
    assert len(pieces) > 5


def test_pieces_of_sglang() -> None:
    """Events in the shape of SGLang-Omni are understood, though events were not asked for by name."""
    with OpenAiStandIn([Behaviour(shape="sglang")]) as server:
        assert joined(speak(server, extra_body={"stream": True}, sample_rate=8_000)) == SOUND
    assert server.requests[0].json["stream"] is True


def test_each_piece_of_sglang_may_be_a_file() -> None:
    """Pieces that are WAV files of their own lose their headers."""
    events = ""
    for sound in (SOUND[:1000], SOUND[1000:]):
        data = base64.b64encode(wav_header(len(sound), 22_050) + sound).decode()
        events += f"data: {json.dumps({'object': 'audio.speech.chunk', 'audio': {'data': data}})}\n\n"
    with OpenAiStandIn([Behaviour(answer=events + "data: [DONE]\n\n")]) as server:
        pieces = speak(server, response_format="wav")
    assert (joined(pieces), pieces[0].sample_rate) == (SOUND, 22_050)


def test_request_is_lean() -> None:
    """Only what is configured is sent."""
    with OpenAiStandIn() as server:
        speak(server)
    assert server.requests[0].json == {
        "input": TEXT,
        "model": "kokoro",
        "voice": "af_heart",
        "response_format": "pcm",
    }


def test_settings_reach_the_server() -> None:
    """Voice, speed, instructions and further fields are sent; the voice of the call wins."""
    settings: dict[str, Any] = {"speed": 1.2, "instructions": "Whisper.", "extra_body": {"lang_code": "b"}}
    with OpenAiStandIn() as server:
        speak(server, "bm_george", **settings)
    sent = server.requests[0].json
    assert (sent["voice"], sent["speed"], sent["instructions"], sent["lang_code"]) == (
        "bm_george",
        1.2,
        "Whisper.",
        "b",
    )


def test_blank_text_needs_no_server() -> None:
    """Nothing to say is nothing to ask for."""
    with OpenAiStandIn() as server, loaded(OpenAiTts, server.base_url) as backend:
        assert list(backend.synthesize("  \n")) == []
    assert server.requests == []


@pytest.mark.parametrize("data_bytes", [0, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF, len(SOUND)])
def test_size_in_the_header(data_bytes: int) -> None:
    """Sizes that servers write before they know are not believed; a chunk of text before the sound is skipped."""
    sound = wav_header(data_bytes, 16_000, before_data=LIST_CHUNK) + SOUND
    with OpenAiStandIn([Behaviour(sound=sound)]) as server:
        pieces = speak(server, response_format="wav")
    assert (joined(pieces), pieces[0].sample_rate) == (SOUND, 16_000)


def test_text_after_the_sound_is_not_played() -> None:
    """Chunks behind the sound, which would be heard as a click, are left out."""
    with OpenAiStandIn([Behaviour(sound=wav_header(len(SOUND)) + SOUND + LIST_CHUNK)]) as server:
        assert joined(speak(server, response_format="wav")) == SOUND


def test_wav_is_recognised_where_pcm_was_asked() -> None:
    """A server that always sends WAV is understood, whatever was asked."""
    with OpenAiStandIn([Behaviour(sound=wav_header(0, 22_050) + SOUND)]) as server:
        pieces = speak(server, response_format="pcm")
    assert (joined(pieces), pieces[0].sample_rate) == (SOUND, 22_050)


def test_stereo_becomes_mono() -> None:
    """Two channels are averaged."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 24_000, 96_000, 4, 16)
    frames = struct.pack("<6h", 100, 300, -100, -300, 0, 8)
    sound = struct.pack("<4sI4s", b"RIFF", 0, b"WAVE") + form + struct.pack("<4sI", b"data", len(frames)) + frames
    with OpenAiStandIn([Behaviour(sound=sound)]) as server:
        assert joined(speak(server)) == struct.pack("<3h", 200, -200, 4)


@pytest.mark.parametrize(
    ("sound", "content_type"),
    [
        (b"ID3\x04" + bytes(100), ""),
        (b"OggS" + bytes(100), ""),
        (b"fLaC" + bytes(100), ""),
        (b"\xff\xfb\x90\x64" + bytes(100), "audio/mpeg"),
        (b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16), ""),
    ],
    ids=["id3", "ogg", "flac", "mp3", "no-format"],
)
def test_what_is_no_pcm_is_not_played(sound: bytes, content_type: str) -> None:
    """Compressed or damaged sound would be heard as a loud noise."""
    behaviour = Behaviour(sound=sound, content_type=content_type)
    with OpenAiStandIn([behaviour]) as server, pytest.raises(BackendRejected, match="response_format"):
        speak(server)


def test_samples_that_look_like_mp3_are_played() -> None:
    """Bare samples may begin like a frame of MPEG."""
    sound = b"\xff\xfb" * 50
    with OpenAiStandIn([Behaviour(sound=sound)]) as server:
        assert joined(speak(server)) == sound


def test_rate_in_the_content_type_counts() -> None:
    """A server that names its rate is believed."""
    with OpenAiStandIn([Behaviour(content_type="audio/L16; rate=22050; channels=1")]) as server:
        assert speak(server)[0].sample_rate == 22_050


def test_configured_rate_counts_else() -> None:
    """Bare samples have the configured rate."""
    with OpenAiStandIn() as server:
        assert speak(server, sample_rate=44_100)[0].sample_rate == 44_100


@pytest.mark.parametrize("sample_rate", [0, 24, 1_000_000])
def test_impossible_rate_is_refused(sample_rate: int) -> None:
    """A rate that no voice has is refused at start."""
    with pytest.raises(ConfigError, match="sample_rate"):
        build_config(OpenAiTts.Config, {"sample_rate": sample_rate}, "tts.openai")


def test_no_sound_is_an_error() -> None:
    """An empty answer is not taken for a spoken sentence."""
    with OpenAiStandIn([Behaviour(sound=b"")]) as server, pytest.raises(BackendUnavailable, match="no sound"):
        speak(server)


def test_connection_is_used_again() -> None:
    """Sentence after sentence goes over one connection."""
    with OpenAiStandIn() as server, loaded(OpenAiTts, server.base_url) as backend:
        for _ in range(3):
            list(backend.synthesize(TEXT))
        assert server.n_connections == 1


def test_closing_the_speech_ends_the_work_of_the_server() -> None:
    """Speech that is cancelled closes the connection."""
    with OpenAiStandIn([Behaviour("stall-after", n_items=5)]) as server, loaded(OpenAiTts, server.base_url) as backend:
        pieces = backend.synthesize(TEXT)
        assert next(pieces).pcm16
        pieces.close()  # type: ignore[attr-defined]
        assert server.wait_for_disconnect()


@pytest.mark.parametrize(("failure", "error"), STATUS_ERRORS.items())
def test_failure_before_the_speech(failure: str, error: type[BackendError]) -> None:
    """Each failure before the first sample becomes exactly the error that says what helps."""
    with OpenAiStandIn([failure]) as server, pytest.raises(error) as caught:
        speak(server, read_timeout_s=patience_s(failure))
    assert type(caught.value) is error


@pytest.mark.parametrize("failure", ["stall-after", "reset-after"])
def test_failure_in_bare_speech(failure: str) -> None:
    """Bare sound that stops or breaks off is an error."""
    with OpenAiStandIn([failure]) as server, pytest.raises(STREAM_ERRORS[failure]) as caught:
        speak(server, read_timeout_s=patience_s(failure))
    assert type(caught.value) is STREAM_ERRORS[failure]


@pytest.mark.parametrize("n_bytes", [20, 44 + 1000])
def test_wav_that_is_cut_short_is_an_error(n_bytes: int) -> None:
    """A WAV that ends before the size in its header, or within the header, is an error."""
    sound = (wav_header(len(SOUND)) + SOUND)[:n_bytes]
    with OpenAiStandIn([Behaviour(sound=sound)]) as server, pytest.raises(BackendUnavailable, match="too early"):
        speak(server, response_format="wav")


@pytest.mark.parametrize(("failure", "error"), STREAM_ERRORS.items())
def test_failure_in_events(failure: str, error: type[BackendError]) -> None:
    """Each failure between events of speech is an error."""
    with OpenAiStandIn([failure]) as server, pytest.raises(error) as caught:
        speak(server, stream_format="sse", read_timeout_s=patience_s(failure))
    assert type(caught.value) is error


def test_event_without_base64_is_an_error() -> None:
    """Sound that cannot be decoded is an error of the server."""
    events = 'data: {"type": "speech.audio.delta", "audio": "***"}\n\n'
    with OpenAiStandIn([Behaviour(answer=events)]) as server, pytest.raises(BackendUnavailable, match="base64"):
        speak(server)
