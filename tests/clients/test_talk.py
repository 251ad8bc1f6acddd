"""clients/talk.py as a process of its own against a real service."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audio.pcm import SPEECH_RATE_HZ
from tests.clients.stand_ins import (
    LOUDSPEAKER,
    MICROPHONE,
    TALK,
    Device,
    expect_s,
    install,
    read_duration_s,
)
from tests.serving import ROOT, RunningService, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process

REPLY = ["You said utterance 215.", "That was turn 1."]


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes(stt={"fake": {"partials": True}})) as running:
        yield running


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def device(tmp_path: Path, service: RunningService) -> Device:
    return Device(tmp_path, service.url)


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
        process.stdin.write(speech_wav(215, seconds=1.0)[44:])
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
    (device.folder / "microphone.pcm").write_bytes(speech_wav(215, seconds=2.0)[44:])
    install(device.commands, **{recorder: MICROPHONE})
    status, told, _ = device.talk("--seconds", "1.5", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert "speak now" in told
    assert "uploaded 1.50 s" in told


def test_the_microphone_is_recorded_until_enter(device: Device, service: RunningService, session: str) -> None:
    """Without --seconds the recording ends when Enter is pressed."""
    (device.folder / "microphone.pcm").write_bytes(speech_wav(215, seconds=1.0)[44:])
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
