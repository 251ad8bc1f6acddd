"""What clients/ws_talk.py tells when something goes wrong, as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.live_device import ANSWER, CHUNKS, HEARD, LiveDevice, read_wav, run
from tests.live_scripts import HELLO, Script, end, msg, speech
from tests.sounds import speech_wav
from tests.standins.live_script import Close, LiveScript

pytestmark = pytest.mark.process


@pytest.fixture
def device(tmp_path: Path) -> LiveDevice:
    return LiveDevice(tmp_path, "")


def test_a_token_is_wanted(device: LiveDevice) -> None:
    """A refusal is told in the service's own words, with what to do; with the token it works."""
    with LiveScript([HELLO, "user_message", *ANSWER], token="of-the-kitchen") as service:
        status, _, errors = run(device, service, "--text", "Hello?")
        assert status == 2
        assert errors == "ws_talk.py: a token is wanted; give it with --token or in EARSHOT_TOKEN\n"
        assert run(device, service, "--text", "Hello?", "--token", "of-the-kitchen")[0] == 0


def test_a_busy_service_is_asked_again(device: LiveDevice) -> None:
    """A service without room is asked again."""
    with LiveScript([HELLO, "user_message", *ANSWER], refusals=(503, 429)) as service:
        assert run(device, service, "--text", "Hello?")[0] == 0


def test_a_service_that_stays_busy_is_given_up(device: LiveDevice) -> None:
    """After some tries the refusal is told."""
    with LiveScript(refusals=(503,) * 6) as service:
        status, _, errors = run(device, service, "--text", "Hello?")
    assert (status, errors) == (1, "ws_talk.py: refused with 503 overloaded: no room\n")


def test_no_service_is_told(device: LiveDevice) -> None:
    """Where nobody listens, the way to start a service is told."""
    with LiveScript() as service:
        pass
    status, told, errors = run(device, service, "--text", "Hello?")
    assert (status, told) == (2, "")
    assert f"{service.url} does not answer" in errors
    assert "scripts/run" in errors


@pytest.mark.parametrize(
    ("how", "sentence"),
    [(Close(), "the connection broke"), (Close(4000), "heard nothing from here"), (Close(1011), "code 1011")],
)
def test_a_lost_connection_is_told(device: LiveDevice, how: Close, sentence: str) -> None:
    """A connection that ends in a turn ends the program, and what came is kept."""
    with LiveScript([HELLO, "user_message", *ANSWER[:7], how]) as service:
        status, _, errors = run(device, service, "--text", "Hello?", "--out", "answer.wav")
    assert status == 1
    assert sentence in errors
    assert read_wav(device.folder / "answer.wav")[1] == CHUNKS[0]


def test_a_connection_lost_in_speech_is_told(device: LiveDevice) -> None:
    """A recording that is still being spoken does not hide that nobody listens."""
    (device.folder / "question.wav").write_bytes(speech_wav(215, seconds=30.0))
    with LiveScript([HELLO, "start_listening", HEARD[0], Close()]) as service:
        status, _, errors = run(device, service, "--wav", "question.wav")
    assert status == 1
    assert "the connection broke" in errors


def test_another_connection_takes_over(device: LiveDevice) -> None:
    """The error that closes is told as what it is."""
    replaced = msg("error", code="replaced", message="a newer connection took over")
    with LiveScript([HELLO, "user_message", replaced, Close(4001)]) as service:
        status, _, errors = run(device, service, "--text", "Hello?")
    assert (status, errors) == (1, "ws_talk.py: refused with replaced: a newer connection took over\n")


def test_an_error_is_told(device: LiveDevice) -> None:
    """A message that is refused ends the program with the service's own words."""
    wrong = msg("error", code="bad-settings", message="there is no voice bob")
    with LiveScript([HELLO, "model_settings", wrong]) as service:
        status, _, errors = run(device, service, "--set", "voice=bob", "--text", "Hello?")
    assert (status, errors) == (1, "ws_talk.py: refused with bad-settings: there is no voice bob\n")
    assert service.heard[0].of("user_message") == []


def test_a_failed_turn_is_told_after_its_apology(device: LiveDevice) -> None:
    """The apology is heard, the reason told, and the exit status is 1."""
    with LiveScript([HELLO, "user_message", *ANSWER[:-1], end("a", "failed", "backend-timeout")]) as service:
        status, told, errors = run(device, service, "--text", "Hello?")
    assert status == 1
    assert "1: It is ten." in told
    assert errors == "ws_talk.py: the turn failed with backend-timeout\n"


def test_a_silent_recording_has_no_reply(device: LiveDevice) -> None:
    """Where nothing was said the exit status is 1."""
    (device.folder / "question.wav").write_bytes(speech_wav(0, seconds=0.1))
    nothing = speech("a", "")
    silent: Script = ["start_listening", nothing[0], "stop_listening", *nothing[2:3], nothing[-1]]
    with LiveScript([HELLO, *silent, {**end("a"), "heard": ""}, "ping", msg("pong")]) as service:
        status, _, errors = run(device, service, "--wav", "question.wav")
    assert status == 1
    assert "nothing was heard" in errors


def test_a_file_that_is_no_wav_is_told(device: LiveDevice) -> None:
    """Words in a file are no speech."""
    (device.folder / "question.wav").write_text("These are words and no sound at all.")
    with LiveScript([HELLO]) as service:
        status, _, errors = run(device, service, "--wav", "question.wav")
    assert status == 2
    assert "question.wav is no WAV that can be read" in errors


@pytest.mark.parametrize("arguments", [[], ["--wav", "missing.wav"]])
def test_wrong_usage_is_told(device: LiveDevice, arguments: list[str]) -> None:
    """Without something to say, or without its file, nothing is asked of the service."""
    status, _, errors = device.talk(*arguments)
    assert status == 2
    assert "say what" in errors or "there is no file missing.wav" in errors


def test_without_aiohttp_it_says_what_to_install(device: LiveDevice) -> None:
    """Where the library is missing, one line names it."""
    hidden = device.folder / "aiohttp.py"
    hidden.write_text("raise ImportError")
    device.environ["PYTHONPATH"] = str(device.folder)
    status, _, errors = device.talk("--text", "Hello?")
    assert (status, errors) == (2, "ws_talk.py: a live conversation needs aiohttp: pip install 'aiohttp>=3.11'\n")
