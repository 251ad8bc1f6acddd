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
from tests.clients.stand_ins import MICROPHONE, TALK, Device, expect_s, install, read_duration_s
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
    status, told, errors = device.talk("question.wav", "--session", session)
    assert (status, errors) == (0, "")
    lines = [re.fullmatch(r" *\d+\.\d\d s  (.+)", line) for line in told.splitlines()]
    texts = [line[1] for line in lines if line]
    assert re.fullmatch(r"uploaded 1\.00 s of speech: turn [0-9a-f]{12}", texts[0])
    assert texts[1:] == [f"1: {REPLY[0]}", f"2: {REPLY[1]}", "end"]
    assert [read_duration_s(wav) for wav in device.heard()] == [expect_s(text) for text in REPLY]


def test_the_sentences_are_joined_to_one_file(device: Device, session: str) -> None:
    """--save gives one WAV with the whole reply."""
    assert device.talk("question.wav", "--session", session, "--save", "out/reply.wav")[0] == 0
    assert read_duration_s((device.folder / "out" / "reply.wav").read_bytes()) == expect_s("".join(REPLY))


@pytest.mark.parametrize("player", ["play", "ffplay"])
def test_whichever_player_is_there_plays(device: Device, session: str, player: str) -> None:
    """Without aplay, sox or ffmpeg plays."""
    (device.commands / "aplay").rename(device.commands / player)
    assert device.talk("--say", "Dinner is ready.", "--session", session)[0] == 0
    assert [read_duration_s(wav) for wav in device.heard()] == [expect_s("Dinner is ready.")]


def test_without_a_player_nothing_is_sent(device: Device, session: str) -> None:
    """A machine that cannot play says so before anybody speaks, and that --save keeps the reply."""
    (device.commands / "aplay").unlink()
    status, told, errors = device.talk("question.wav", "--session", session)
    assert (status, told) == (2, "")
    assert "no player here (aplay, play, ffplay)" in errors
    assert "--save reply.wav" in errors


def test_a_whole_turn_in_one_request(device: Device, session: str) -> None:
    """--talk plays the streamed reply as one sound and tells its sentences."""
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
    """--say has a text said."""
    status, told, _ = device.talk("--say", "Dinner is ready.", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert "1: Dinner is ready." in told
    assert read_duration_s((device.folder / "reply.wav").read_bytes()) == expect_s("Dinner is ready.")


def test_what_is_in_line_is_heard_first(device: Device, service: RunningService, session: str) -> None:
    """What was said to the session before is heard before the own reply."""
    service.post(f"/say?session={session}", json={"text": "Dinner is ready."})
    status, told, _ = device.talk("question.wav", "--session", session, "--save", "reply.wav")
    assert status == 0
    assert re.findall(r"\d: (.+)", told) == ["Dinner is ready.", *REPLY]


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [(["question.wav"], REPLY), (["question.wav", "--talk"], REPLY), (["--say", "It gets cold."], ["It gets cold."])],
)
def test_an_interruption_drops_what_was_in_line(
    device: Device, service: RunningService, session: str, arguments: list[str], reply: list[str]
) -> None:
    """--interrupt cancels the turns before, so that only the own reply is heard and nothing is left in line."""
    service.post(f"/say?session={session}", json={"text": "Dinner is ready."})
    status, told, _ = device.talk(*arguments, "--session", session, "--interrupt", "--save", "reply.wav")
    assert status == 0
    assert re.findall(r"\d: (.+)", told) == reply
    assert service.get(f"/audio?session={session}&timeout=0").status_code == 404


def test_quiet_tells_nothing(device: Device, session: str) -> None:
    """--quiet leaves only errors."""
    assert device.talk("question.wav", "--session", session, "--quiet", "--save", "reply.wav") == (0, "", "")


def test_it_runs_as_a_module(device: Device, session: str) -> None:
    """`python -m clients.talk` is the same command."""
    command = [sys.executable, "-m", "clients.talk", "--say", "Dinner is ready.", "--session", session, "--quiet"]
    subprocess.run(command, cwd=ROOT, env=device.environ, check=True, timeout=60)
    assert len(device.heard()) == 1


def test_a_copy_of_the_folder_is_enough(device: Device, session: str) -> None:
    """The script works where the rest of the project is not, run by its path from anywhere."""
    copy = shutil.copytree(TALK.parent, device.folder / "copied" / "clients")
    command = [sys.executable, str(copy / "talk.py"), "question.wav", "--session", session, "--quiet"]
    subprocess.run(command, cwd=device.folder, env=device.environ, check=True, timeout=60)
    assert len(device.heard()) == len(REPLY)


def test_events_are_told(device: Device, session: str) -> None:
    """--events shows what the service hears and what it finds in the voice."""
    status, told, _ = device.talk("question.wav", "--session", session, "--save", "reply.wav", "--events")
    assert status == 0
    assert "hearing: utterance" in told
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


@pytest.mark.parametrize("recorder", ["arecord", "rec"])
def test_the_microphone_is_recorded_until_enter(
    device: Device, service: RunningService, session: str, recorder: str
) -> None:
    """Whichever recorder is there: speech is sent while it is spoken, and ends when Enter is pressed."""
    (device.folder / "microphone.pcm").write_bytes(speech_wav(215, seconds=1.5)[44:])
    install(device.commands, **{recorder: MICROPHONE})
    with (
        service.get(f"/events?session={session}", stream=True) as events,
        device.start("--session", session, "--save", "reply.wav", stdin=subprocess.PIPE) as process,
    ):
        assert b"event: turn_started" in events.iter_lines()
        told, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert "speak now" in told
    assert "uploaded 1.50 s" in told


def test_a_microphone_without_sound_is_told(device: Device) -> None:
    """A recorder that fails at once is a message, not an upload."""
    install(device.commands, arecord="raise SystemExit('no such device')")
    status, _, errors = device.talk()
    assert status == 2
    assert "no sound came from the microphone" in errors
