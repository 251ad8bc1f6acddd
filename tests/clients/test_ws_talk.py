"""clients/ws_talk.py as a process of its own against a service whose side is written down."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from tests.clients.live_device import ANSWER, CHUNKS, HEARD, SPOKEN, LiveDevice, read_wav, run, texts
from tests.clients.stand_ins import MICROPHONE, install
from tests.live_scripts import (
    COUGH,
    HELLO,
    SETTINGS_OF_A_SESSION,
    Script,
    begin,
    complete,
    cut,
    end,
    meta,
    msg,
    reply,
    speech,
)
from tests.serving import ROOT
from tests.sounds import speech_wav
from tests.standins.live_script import LiveScript

pytestmark = pytest.mark.process


@pytest.fixture
def device(tmp_path: Path) -> LiveDevice:
    return LiveDevice(tmp_path, "")


# ---- turns -----------------------------------------------------------------------------------------------------------


def test_a_typed_turn_is_answered(device: LiveDevice) -> None:
    """The words of the reply are told, and its sound is kept as it was sent."""
    with LiveScript([HELLO, "user_message", *ANSWER]) as service:
        status, told, errors = run(device, service, "--text", "What time is it?", "--out", "out/answer.wav")
    assert (status, errors) == (0, "")
    assert texts(told)[:-1] == ["1: It is ten.", "2: It is ten."]
    assert re.fullmatch(r"done, first sound after \d+\.\d\d s", texts(told)[-1])
    assert service.heard[0].of("user_message") == [{"text": "What time is it?"}]
    assert read_wav(device.folder / "out" / "answer.wav") == (24_000, b"".join(CHUNKS))


def test_a_turn_from_before_answers_nothing(device: LiveDevice) -> None:
    """The end of what another client had fetched already is not the answer to what was typed."""
    with LiveScript([HELLO, end("before"), "user_message", *ANSWER]) as service:
        status, told, errors = run(device, service, "--text", "Hello?")
    assert (status, errors) == (0, "")
    assert "1: It is ten." in texts(told)


def test_a_recording_is_spoken(device: LiveDevice) -> None:
    """The whole WAV goes up at its own rate, as one utterance, and the transcript is told."""
    recording = speech_wav(215, seconds=0.5, sample_rate=22_050)
    (device.folder / "question.wav").write_bytes(recording)
    with LiveScript([HELLO, *SPOKEN]) as service:
        status, told, errors = run(device, service, "--wav", "question.wav")
    assert (status, errors) == (0, "")
    assert texts(told)[:3] == ["hearing: what", "hearing: what time", "you said: what time is it"]
    assert service.heard[0].of("start_listening") == [{"rate": 22_050, "mode": "push_to_talk"}]
    assert service.heard[0].sound.rstrip(b"\0") == recording[44:].rstrip(b"\0")


def test_the_first_channel_is_spoken(device: LiveDevice) -> None:
    """Of a recording in stereo, one channel goes up."""
    left, right = b"\1\2" * 1_600, b"\3\4" * 1_600
    with wave.open(str(device.folder / "question.wav"), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"".join(left[i : i + 2] + right[i : i + 2] for i in range(0, len(left), 2)))
    with LiveScript([HELLO, *SPOKEN]) as service:
        assert run(device, service, "--wav", "question.wav")[0] == 0
    assert service.heard[0].sound.rstrip(b"\0") == left


def test_the_service_may_find_the_utterances(device: LiveDevice) -> None:
    """With --hands-free silence follows the recording, and several utterances in it are each waited for."""
    (device.folder / "question.wav").write_bytes(speech_wav(215, seconds=0.1))
    two: Script = [*HEARD, *ANSWER, *speech("b", "and now")]
    script = [HELLO, "start_listening", *two, "stop_listening", "ping", msg("pong"), *reply("b", "n"), end("b")]
    with LiveScript(script) as service:
        status, told, _ = run(device, service, "--wav", "question.wav", "--hands-free")
    assert status == 0
    assert [text for text in texts(told) if text.startswith("you")] == [
        "you said: what time is it",
        "you said: and now",
    ]
    assert service.heard[0].of("start_listening") == [{"rate": 16_000, "mode": "hands_free"}]
    assert len(service.heard[0].sound) == pytest.approx(2 * 16_000 * (0.1 + 1.0 + 0.6), abs=1_280)


def test_turns_are_taken_in_order(device: LiveDevice) -> None:
    """Typed and spoken turns go over one connection, each behind the end of the one before."""
    (device.folder / "question.wav").write_bytes(speech_wav(215, seconds=0.1))
    typed: Script = ["user_message", *reply("b", "n"), end("b")]
    last: Script = ["user_message", *reply("c", "o"), end("c")]
    with LiveScript([HELLO, *typed, *SPOKEN, *last]) as service:
        status, told, _ = run(device, service, "--text", "One?", "--wav", "question.wav", "--text", "Three?")
    assert status == 0
    assert len([text for text in texts(told) if text.startswith("done")]) == 3
    kinds = [message["type"] for message in service.heard[0].messages]
    assert kinds == ["user_message", "start_listening", "stop_listening", "ping", "user_message"]


def test_an_announcement_between_is_no_answer(device: LiveDevice) -> None:
    """What the service says unasked is heard, and the own turn still waited for."""
    announcement: Script = [*reply("x", "p"), {**end("x"), "heard": ""}]
    cut_off = {**end("y", "cancelled", "new-message"), "heard": "before"}
    with LiveScript([HELLO, "user_message", cut_off, *announcement, *ANSWER]) as service:
        status, _, _ = run(device, service, "--text", "Hello?", "--out", "answer.wav")
    assert status == 0
    assert read_wav(device.folder / "answer.wav")[1].endswith(b"".join(CHUNKS))


def test_the_microphone_is_open_until_enter(device: LiveDevice) -> None:
    """What is recorded goes up while it is spoken; Enter ends it, and what is open then is answered."""
    pcm16 = speech_wav(215, seconds=0.5)[44:]
    (device.folder / "microphone.pcm").write_bytes(pcm16)
    install(device.commands, arecord=MICROPHONE.replace('"60" in', '"86400" in'))
    script: Script = [HELLO, "start_listening", "sound", *HEARD, "stop_listening", "ping", *ANSWER, msg("pong")]
    with LiveScript(script) as service:
        with device.start("--url", service.url, "--microphone", stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert "speak now, and press Enter at the end" in process.stdout.readline()
            while "you said" not in process.stdout.readline():
                pass
            process.stdin.write("\n")
            process.stdin.flush()
            told, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert "1: It is ten." in told
    assert service.heard[0].of("start_listening") == [{"rate": 16_000}]
    assert pcm16.startswith(service.heard[0].sound.rstrip(b"\0"))


# ---- what is heard and shown -----------------------------------------------------------------------------------------


def test_the_reply_is_played_while_it_comes(device: LiveDevice) -> None:
    """The player gets the whole reply as one sound."""
    with LiveScript([HELLO, "user_message", *ANSWER]) as service:
        assert run(device, service, "--text", "What time is it?", "--play")[0] == 0
    [played] = device.heard()
    assert played[44:] == b"".join(CHUNKS)


def test_an_interruption_silences_the_player(device: LiveDevice) -> None:
    """What was buffered is dropped, and the reply goes on from the cut when it was a cough."""
    again: Script = [begin("a", "m", resumed=True), meta("m", 0, 0), CHUNKS[1], complete("a"), end("a")]
    with LiveScript([HELLO, "user_message", *ANSWER[:-2], cut("a"), *COUGH, *again]) as service:
        status, told, _ = run(device, service, "--text", "What time is it?", "--play")
    assert status == 0
    assert "interrupted" in texts(told)
    assert [played[44:] for played in device.heard()] == [CHUNKS[1]]


def test_without_a_player_nothing_is_sent(device: LiveDevice) -> None:
    """A machine that cannot play says so before anything is said."""
    (device.commands / "aplay").unlink()
    with LiveScript() as service:
        status, told, errors = run(device, service, "--text", "Hello?", "--play")
    assert (status, told) == (2, "")
    assert "--out answer.wav" in errors
    assert service.heard == []


def test_every_message_is_a_line(device: LiveDevice) -> None:
    """--json prints all that comes, sound by its length, and answers pings."""
    with LiveScript([HELLO, "user_message", msg("ping"), "pong", *ANSWER]) as service:
        status, told, _ = run(device, service, "--text", "Hello?", "--json")
    assert status == 0
    shown = [json.loads(line) for line in told.splitlines()]
    sent = [step for step in [HELLO, msg("ping"), *ANSWER] if isinstance(step, dict)]
    assert [{k: v for k, v in message.items() if k != "n_bytes"} for message in shown] == sent
    assert [message["n_bytes"] for message in shown if "n_bytes" in message] == [9_600] * 3


def test_quiet_tells_nothing(device: LiveDevice) -> None:
    """--quiet leaves only errors."""
    with LiveScript([HELLO, "user_message", *ANSWER]) as service:
        assert run(device, service, "--text", "Hello?", "--quiet") == (0, "", "")


def test_settings_are_chosen_first(device: LiveDevice) -> None:
    """--set and --interrupt go before the first turn."""
    chosen = msg("settings", **{**SETTINGS_OF_A_SESSION, "voice": "slt"})
    with LiveScript([HELLO, "model_settings", chosen, "interrupt", "user_message", *ANSWER]) as service:
        chosen_by = ["--set", "voice=slt", "--set", "temperature=0.5", "--set", "model=null"]
        assert run(device, service, *chosen_by, "--interrupt", "--text", "Hello?")[0] == 0
    assert service.heard[0].of("model_settings") == [{"voice": "slt", "temperature": 0.5, "model": None}]


def test_it_runs_as_a_module(device: LiveDevice) -> None:
    """`python -m clients.ws_talk` is the same command; the session is named in the query."""
    with LiveScript([HELLO, "user_message", *ANSWER]) as service:
        command = ["-m", "clients.ws_talk", "--url", service.url, "--session", "desk", "--text", "Hello?", "--quiet"]
        subprocess.run([sys.executable, *command], cwd=ROOT, env=device.environ, check=True, timeout=60)
    assert service.heard[0].query == {"session": "desk"}
