"""clients/talk.py as a process of its own against a real service."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import uuid
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audio.pcm import SPEECH_RATE_HZ
from app.audio.wav import write_wav
from tests.clients.stand_ins import (
    LOUDSPEAKER,
    MICROPHONE,
    TALK,
    Device,
    breaking_connection,
    install,
    make_pcm16,
    make_question,
)
from tests.serving import ROOT, RunningService, serve, with_fakes

pytestmark = pytest.mark.process

REPLY = ["You said utterance 215.", "That was turn 1."]


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    failing = {"fail": "error", "fail_on": "utterance 77"}
    with serve(with_fakes(llm={"fake": failing}, stt={"fake": {"partials": True}})) as running:
        yield running


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def device(tmp_path: Path, service: RunningService) -> Device:
    return Device(tmp_path, service.url)


def read_duration_s(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SPEECH_RATE_HZ)
        return file.getnframes() / file.getframerate()


def expect_s(text: str) -> float:
    """Return how long the fake voice hums for a text."""
    return pytest.approx(len(text) * 0.02, abs=0.001)


# ---- a file and its reply --------------------------------------------------------------------------------------------


def test_a_file_is_uploaded_and_each_sentence_played(device: Device, session: str) -> None:
    """The upload, each sentence with its time and the end are told, and the player gets one WAV per sentence."""
    install(device.commands, aplay=LOUDSPEAKER)
    status, told, errors = device.talk("question.wav", "--session", session)
    assert (status, errors) == (0, "")
    lines = [re.fullmatch(r" *\d+\.\d\d s  (.+)", line) for line in told.splitlines()]
    texts = [line[1] for line in lines if line]
    assert re.fullmatch(r"uploaded 1\.00 s of speech: turn [0-9a-f]{12}", texts[0])
    assert texts[1:] == [f"1: {REPLY[0]}", f"2: {REPLY[1]}", "end"]
    assert [read_duration_s(wav) for wav in device.heard()] == [expect_s(text) for text in REPLY]


def test_the_sentences_are_joined_to_one_file(device: Device, session: str) -> None:
    """--save FILE.wav gives one WAV with the whole reply."""
    assert device.talk("question.wav", "--session", session, "--save", "out/reply.wav")[0] == 0
    assert read_duration_s((device.folder / "out" / "reply.wav").read_bytes()) == expect_s("".join(REPLY))


def test_the_sentences_are_saved_one_by_one(device: Device, session: str) -> None:
    """--save FOLDER gives one WAV for each sentence, in their order by name."""
    assert device.talk("question.wav", "--session", session, "--save", "replies")[0] == 0
    files = sorted((device.folder / "replies").iterdir())
    assert [read_duration_s(file.read_bytes()) for file in files] == [expect_s(text) for text in REPLY]


def test_without_a_player_the_reply_is_saved(device: Device, session: str) -> None:
    """A machine that cannot play says so and keeps the reply."""
    status, told, _ = device.talk("question.wav", "--session", session)
    assert status == 0
    assert "no player here" in told
    assert read_duration_s((device.folder / "reply.wav").read_bytes()) == expect_s("".join(REPLY))


def test_a_whole_turn_in_one_request(device: Device, session: str) -> None:
    """--talk plays the streamed reply as one sound and tells its sentences."""
    install(device.commands, aplay=LOUDSPEAKER)
    status, told, _ = device.talk("question.wav", "--session", session, "--talk")
    assert status == 0
    assert f"1: {REPLY[0]}" in told
    [played] = device.heard()
    assert len(played) == 44 + 2 * round(len("".join(REPLY)) * 0.02 * SPEECH_RATE_HZ)


def test_a_streamed_reply_is_saved_with_its_length(device: Device, session: str) -> None:
    """--talk --save writes a WAV whose header knows how long it is."""
    assert device.talk("question.wav", "--session", session, "--talk", "--save", "reply.wav")[0] == 0
    assert read_duration_s((device.folder / "reply.wav").read_bytes()) == expect_s("".join(REPLY))


def test_a_text_is_said(device: Device, session: str) -> None:
    """--text has a text said and plays it."""
    status, told, _ = device.talk("--text", "Dinner is ready.", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert "1: Dinner is ready." in told
    assert read_duration_s((device.folder / "reply.wav").read_bytes()) == expect_s("Dinner is ready.")


def test_another_device_hears_what_is_only_sent(device: Device, session: str) -> None:
    """--send-only leaves the reply in line, where the next run of the session hears it before its own."""
    assert device.talk("--text", "Dinner is ready.", "--session", session, "--send-only")[0] == 0
    status, told, _ = device.talk("question.wav", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert re.findall(r"\d: (.+)", told) == ["Dinner is ready.", *REPLY]


def test_an_interruption_drops_what_was_in_line(device: Device, session: str) -> None:
    """--interrupt cancels the turns before, so that only the own reply is heard."""
    assert device.talk("--text", "Dinner is ready.", "--session", session, "--send-only")[0] == 0
    status, told, _ = device.talk("question.wav", "--session", session, "--interrupt", "--save", "reply.wav")
    assert status == 0
    assert re.findall(r"\d: (.+)", told) == REPLY


def test_quiet_tells_nothing(device: Device, session: str) -> None:
    """--quiet leaves only errors."""
    assert device.talk("question.wav", "--session", session, "--quiet", "--save", "reply.wav") == (0, "", "")


def test_it_runs_as_a_module(device: Device, session: str) -> None:
    """`python -m clients.talk` is the same command."""
    command = [sys.executable, "-m", "clients.talk", str(device.folder / "question.wav"), "--save", str(device.folder)]
    subprocess.run([*command, "--session", session, "--quiet"], cwd=ROOT, env=device.environ, check=True, timeout=60)


def test_the_script_alone_is_enough(device: Device, session: str) -> None:
    """A copy of the one file works where the project is not."""
    copy = shutil.copy(TALK, device.folder / "copied.py")
    command = [sys.executable, copy, "question.wav", "--save", "reply.wav", "--session", session]
    subprocess.run(command, cwd=device.folder, env=device.environ, check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_events_are_told(device: Device, session: str) -> None:
    """--events shows what the service hears and what it finds in the voice, of this run alone."""
    device.talk("--text", "Dinner is ready.", "--session", session, "--save", "reply.wav")
    status, told, _ = device.talk("question.wav", "--session", session, "--save", "reply.wav", "--events")
    assert status == 0
    assert "hearing: 1.0 s" in told
    assert "you said: utterance 215" in told
    assert "analysis by fake: duration_s 1, calm -" in told


# ---- sound that is still coming --------------------------------------------------------------------------------------


def test_the_input_is_sent_while_it_comes(device: Device, service: RunningService, session: str) -> None:
    """With `-` the turn has begun before the input has ended."""
    with (
        service.get(f"/events?session={session}", stream=True) as events,
        device.start("-", "--session", session, "--save", "reply.wav", stdin=subprocess.PIPE, text=False) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(make_pcm16())
        process.stdin.flush()
        assert b"event: turn_started" in events.iter_lines()
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"uploaded 1.00 s" in told


def test_a_file_may_come_through_the_input(device: Device, session: str) -> None:
    """What comes through `-` may be a sound file as well as raw PCM16."""
    with (device.folder / "question.wav").open("rb") as file:
        status, told, _ = device.talk("-", "--session", session, "--save", "reply.wav", stdin=file)
    assert status == 0
    assert REPLY[0] in told


@pytest.mark.parametrize("recorder", ["arecord", "rec", "sox"])
def test_the_microphone_is_recorded_for_some_seconds(device: Device, session: str, recorder: str) -> None:
    """--seconds takes just that much from whichever recorder is there."""
    (device.folder / "microphone.pcm").write_bytes(make_pcm16(duration_s=2.0))
    install(device.commands, **{recorder: MICROPHONE})
    status, told, _ = device.talk("--seconds", "1.5", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert "speak now" in told
    assert "uploaded 1.50 s" in told


def test_the_microphone_is_recorded_until_enter(device: Device, service: RunningService, session: str) -> None:
    """Without --seconds the recording ends when Enter is pressed."""
    (device.folder / "microphone.pcm").write_bytes(make_pcm16())
    install(device.commands, arecord=MICROPHONE)
    with (
        service.get(f"/events?session={session}", stream=True) as events,
        device.start("--session", session, "--save", "reply.wav", stdin=subprocess.PIPE) as process,
    ):
        assert b"event: turn_started" in events.iter_lines()
        told, _ = process.communicate("\n", timeout=60)
        assert process.returncode == 0
        assert REPLY[0] in told


def test_a_microphone_without_sound_is_told(device: Device) -> None:
    """A recorder that fails at once is a message, not an upload."""
    install(device.commands, arecord="raise SystemExit('no such device')")
    status, _, errors = device.talk("--seconds", "1")
    assert status == 2
    assert "no sound came from the microphone" in errors


# ---- what can go wrong -----------------------------------------------------------------------------------------------


def test_a_failed_turn_is_told_after_its_apology(device: Device, session: str) -> None:
    """The apology is played, the reason told, and the exit status is 1."""
    (device.folder / "question.wav").write_bytes(make_question(77))
    status, told, errors = device.talk("question.wav", "--session", session, "--save", "reply.wav")
    assert status == 1
    assert "1: Sorry, something went wrong." in told
    assert "the turn failed with backend-unavailable" in errors


@pytest.mark.parametrize("way", [[], ["--talk"]])
def test_a_silent_recording_has_no_reply(device: Device, session: str, way: list[str]) -> None:
    """Silence ends with exit status 1 and a line that says that nothing was heard."""
    (device.folder / "question.wav").write_bytes(write_wav(bytes(32_000), SPEECH_RATE_HZ))
    status, _, errors = device.talk("question.wav", "--session", session, "--save", "reply.wav", *way)
    assert status == 1
    assert "nothing was heard" in errors


def test_a_body_that_is_no_sound_is_told(device: Device) -> None:
    """The service's own message is shown."""
    (device.folder / "question.wav").write_text("These are words and no sound at all.")
    status, _, errors = device.talk("question.wav")
    assert status == 1
    assert "400 bad-audio: the body is text" in errors


def test_a_turn_that_takes_too_long_is_given_up(device: Device, service: RunningService, session: str) -> None:
    """When no sound comes for as long as --patience says, the run ends with exit status 1."""

    def endless_speech() -> Iterator[bytes]:
        yield make_pcm16()
        status, _, errors = device.talk("question.wav", "--session", session, "--patience", "0.3")
        assert status == 1
        assert "no sound came for 0.3 s" in errors

    service.post(f"/upload?session={session}&rate=16000", data=endless_speech())


@pytest.mark.parametrize("losses", [[0.0], [0.6], [0.9, 0.0, 0.5]])
def test_a_lost_sentence_is_asked_again(
    device: Device, service: RunningService, session: str, losses: list[float]
) -> None:
    """Whether nothing or half of an answer came through, every sentence is heard, once and whole."""
    with breaking_connection(service.url, list(losses)) as url:
        device.environ["EARSHOT_URL"] = url
        status, told, _ = device.talk("question.wav", "--session", session, "--save", "replies")
    assert status == 0
    assert told.count("the connection was lost") == len(losses)
    files = sorted((device.folder / "replies").iterdir())
    assert [read_duration_s(file.read_bytes()) for file in files] == [expect_s(text) for text in REPLY]


def test_a_lost_end_is_noticed(device: Device, service: RunningService, session: str) -> None:
    """When the answer that tells the end is lost, the turn itself tells it."""
    with breaking_connection(service.url, [1.0, 1.0, 0.0]) as url:
        device.environ["EARSHOT_URL"] = url
        status, told, _ = device.talk("question.wav", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert told.splitlines()[-1].endswith("end")


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
    [["missing.wav"], ["question.wav", "--text", "both"], ["--seconds", "0"], ["question.wav", "--url", "nonsense"]],
)
def test_wrong_usage(device: Device, arguments: list[str]) -> None:
    """What cannot be done is said before anything is sent, with exit status 2."""
    status, _, errors = device.talk(*arguments)
    assert status == 2
    assert errors.splitlines()[-1].startswith("talk.py: ")
