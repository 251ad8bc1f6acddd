"""The whole device on real PyAudio streams, with a sound card made of software, and from files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.device.scenes import answering, as_json, noise, refusal, wait_until, whistle
from tests.clients.device.virtual_audio import RATE, VirtualAudio, virtual_audio
from tests.serving import ROOT, RunningService, serve, with_fakes
from tests.speech import read_recording

WHISTLE_ENVIRON = {
    "EARSHOT_DEVICE__WAKE__MODELS__0__NAME": "whistle",
    "EARSHOT_DEVICE__WAKE__MODELS__0__ENGINE": "scripted",
    "EARSHOT_DEVICE__WAKE__MODELS__0__PATH": "2000",
}


class RunningDevice:
    """A device in a process of its own, and what it tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.strip())

    def wait_for(self, text: str, times: int = 1) -> None:
        """Return when so many lines had this text; fail with all lines when they never come."""
        try:
            wait_until(lambda: self.count(text) >= times, text)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n" + "\n".join(self.lines)) from None

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)


@contextmanager
def running(environ: dict[str, str], *arguments: str, **options: Any) -> Iterator[RunningDevice]:
    """Run the device until the block ends; it must end well when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clients.device", *arguments],
        **{"cwd": ROOT, "env": environ, "stderr": subprocess.PIPE, "text": True, **options},
    )
    device = RunningDevice(process)
    try:
        yield device
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, device.lines
    finally:
        process.kill()
        process.wait()
        device._thread.join(5)
        assert process.stderr is not None
        process.stderr.close()


def of_recording(name: str) -> bytes:
    with wave.open(io.BytesIO(read_recording(name))) as file:
        assert file.getframerate() == RATE
        return file.readframes(file.getnframes())


def wav(pcm16: bytes, rate: int = RATE, channels: int = 1) -> bytes:
    with io.BytesIO() as body:
        with wave.open(body, "wb") as file:
            file.setparams((channels, 2, rate, 0, "NONE", ""))
            file.writeframes(pcm16)
        return body.getvalue()


def correlation(heard: bytes, source: bytes) -> float:
    """Return how alike the source is to the best place of what was heard, 0 to 1."""
    y, x = (np.frombuffer(each, "<i2").astype(np.float64) for each in (heard, source))
    n = 1 << int(np.ceil(np.log2(len(y) + len(x))))
    product = np.fft.irfft(np.fft.rfft(y, n) * np.conj(np.fft.rfft(x, n)), n)[: max(1, len(y) - len(x))]
    place = y[int(np.argmax(product)) :][: len(x)]
    return float(np.dot(place, x) / np.sqrt(np.dot(place, place) * np.dot(x, x) + 1e-9))


def spans(pcm16: bytes, least: float = 300.0) -> list[float]:
    """Return the lengths in seconds of what is louder than that, with gaps of 0.3 s between."""
    samples = np.frombuffer(pcm16, "<i2").astype(np.float64)
    loud = [np.sqrt(np.mean(samples[i : i + 800] ** 2)) > least for i in range(0, len(samples) - 800, 800)]
    found, gap = [], 99
    for is_loud in loud:
        gap = 0 if is_loud else gap + 1
        if is_loud and (not found or found[-1][1] > 6):
            found.append([0, 0])
        if found:
            found[-1] = [found[-1][0] + 1, 0] if is_loud else [found[-1][0], gap]
    return [n * 0.05 for n, _ in found]


@pytest.fixture(scope="module")
def audio() -> Iterator[VirtualAudio]:
    with virtual_audio() as made:
        yield made


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(with_fakes()) as running_service:
        yield running_service


# ---- real streams ----------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_a_spoken_question_leads_to_a_spoken_answer(audio: VirtualAudio, tmp_path: Path) -> None:
    """A person says wake word and question into the microphone; the speaker says the time, with nobody at hand."""
    pytest.importorskip("pymicro_wakeword")
    question = of_recording("wake_okay_nabu_2.wav") + noise(0.2) + of_recording("rhasspy_what_time_is_it.wav")
    heard = tmp_path / "speaker.pcm"
    with serve({}) as service, audio.capture_speaker(heard):
        with running(audio.environ, "--url", service.url, "--session", "room") as device:
            device.wait_for("listening")
            device.wait_for("speaker:")
            for _try in range(3):
                # A virtual microphone may lose a piece of the word when the machine is busy.
                audio.speak(noise(1.0) + question + noise(1.5, seed=2))
                if device.count("wake word okay_nabu"):
                    break
            device.wait_for("speaking")
            device.wait_for("listening", times=2)
        events = service.get("/events?session=room", stream=True, headers={"Last-Event-ID": "0"})
        told = next(line for line in events.iter_lines() if b"final_transcript" in line and b"data:" in line)
    assert b"what time is it" in told
    # The tones of wake and end, and then about a second of voice.
    assert max(spans(heard.read_bytes())) > 0.7
    assert device.lines[-1].endswith("listening")


@pytest.mark.process
def test_the_wake_word_interrupts_the_speaker(audio: VirtualAudio, service: RunningService, tmp_path: Path) -> None:
    """A long reply is cut off at once, the service cancels it, and the next question is recorded."""
    heard = tmp_path / "speaker.pcm"
    environ = {**audio.environ, **WHISTLE_ENVIRON}
    with audio.capture_speaker(heard), running(environ, "--url", service.url, "--session", "bard") as device:
        device.wait_for("listening")
        device.wait_for("speaker:")
        told = service.post("/say?session=bard", json={"text": "A very long story. " * 150})
        device.wait_for("speaking")
        audio.speak(noise(0.5) + whistle(0.3) + noise(1.0))
        device.wait_for("recording")
        turn = service.get(f"/turns/{told.json()['turn']}?session=bard").json()
        audio.speak(noise(4.0))
        device.wait_for("nobody spoke")
    assert turn["state"] == "cancelled" or any(not each["delivered"] for each in turn["segments"])
    assert max(spans(heard.read_bytes())) < 10


LISTENER = """
import sys, time
from clients.device.inbox import Inbox
from clients.device.portaudio import PortAudio
from clients.device.settings import MicrophoneSettings
inbox, audio, given, taken = Inbox(125), PortAudio(), [], []
def hear(chunk, has_gap):
    given.append(chunk)
    inbox.put_chunk(chunk)
stream = audio.open_microphone(MicrophoneSettings(device="vmic"), hear)
stream.start()
while not given: time.sleep(0.01)
print("ready", flush=True)
while len(taken) < 800:
    inbox.wait(1.0)
    while (one := inbox.take_chunk()) is not None: taken.append(one[0])
stream.close()
open(sys.argv[1], "wb").write(b"".join(taken))
print(inbox.n_lost, taken == given[:len(taken)], len(set(taken)) > 700)
"""


@pytest.mark.process
def test_a_minute_goes_through_whole_and_in_order(audio: VirtualAudio) -> None:
    """60 s of a real microphone stream: all that the driver gave arrives, in the order in which it was spoken."""
    source = [noise(1.0, 2000, seed) for seed in range(60)]
    path = Path(audio.environ["PULSE_RUNTIME_PATH"], "minute.pcm")
    command = [sys.executable, "-c", LISTENER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, env=audio.environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        player = audio.start_to_speak(b"".join(source))
        assert process.stdout.read().split() == ["0", "True", "True"]
        player.wait(20)
    heard = path.read_bytes()
    places = [heard.find(second[16000:16400]) for second in source]
    found = [place for place in places if place >= 0]
    # The virtual card itself may lose a piece when the machine is busy.
    assert len(found) > 50
    assert found == sorted(found)


@pytest.mark.process
@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 1)])
def test_other_formats_are_heard_as_they_are(
    rate: int, channels: int, audio: VirtualAudio, service: RunningService
) -> None:
    """A whistle wakes through a stereo microphone and through one of another rate."""
    environ = {
        **audio.environ,
        **WHISTLE_ENVIRON,
        "EARSHOT_DEVICE__MICROPHONE__SAMPLE_RATE": str(rate),
        "EARSHOT_DEVICE__MICROPHONE__CHANNELS": str(channels),
    }
    with running(environ, "--url", service.url, "--session", f"r{rate}") as device:
        device.wait_for(f"{rate} Hz, {channels} channel(s)")
        audio.speak(noise(2.0) + whistle(0.3) + noise(1.0))
        device.wait_for("recording")
        audio.speak(noise(4.5))
        device.wait_for("nobody spoke")


@pytest.mark.process
def test_a_sound_card_that_goes_away_comes_back(service: RunningService) -> None:
    """The microphone's server dies: the device says so, tries again, and hears when there is one again."""
    with virtual_audio() as audio:
        arguments = ("--url", service.url, "--session", "gone")
        with running({**audio.environ, **WHISTLE_ENVIRON}, *arguments) as device:
            # Told when the streams run; PortAudio itself aborts when the server dies while one is being started.
            device.wait_for("microphone: ")
            device.wait_for("speaker: ")
            audio.process.kill()
            device.wait_for("the microphone is away")
            device.wait_for("recovering", times=2)
            with virtual_audio(Path(audio.environ["PULSE_RUNTIME_PATH"])) as again:
                device.wait_for("listening", times=2)
                again.speak(noise(2.0) + whistle(0.3) + noise(1.0))
                device.wait_for("recording")


@pytest.mark.process
def test_check_and_list_say_what_is_there(audio: VirtualAudio, service: RunningService) -> None:
    """Each line says ok; both devices are listed."""
    pytest.importorskip("pymicro_wakeword")
    listed = command("--list-devices", environ=audio.environ)
    assert listed.returncode == 0
    assert "vmic" in listed.stdout
    assert "vspk" in listed.stdout
    player = audio.start_to_speak(noise(12.0, 500))
    checked = command("--check", "--url", service.url, environ=audio.environ)
    player.wait(30)
    assert [line.split(",")[0] for line in checked.stdout.splitlines()] == [
        "microphone: ok",
        "speaker: ok",
        "wake words: ok",
        "service: ok",
    ], checked
    assert checked.returncode == 0


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def command(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clients.device", *arguments],
        cwd=ROOT, env=environ or dict(os.environ), capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def no_audio() -> dict[str, str]:
    """An environment without any sound device; skip the test on a machine that has one."""
    cards = Path("/proc/asound/cards")
    if cards.exists() and "no soundcards" not in cards.read_text():
        pytest.skip("this machine has a sound card")
    return {**os.environ, "PULSE_SERVER": "unix:/nonexistent"}


@pytest.mark.process
def test_no_sound_device_is_told_and_waited_for(no_audio: dict[str, str], service: RunningService) -> None:
    """--check says what to do; the device itself goes on trying."""
    pytest.importorskip("pyaudio")
    checked = command("--check", "--url", service.url, environ=no_audio)
    assert checked.returncode == 1
    assert "microphone: FAILED, this machine has no microphone: plug one in" in checked.stdout
    assert "speaker: FAILED, this machine has no speaker: plug one in" in checked.stdout
    assert "service: ok" in checked.stdout
    with running({**no_audio, **WHISTLE_ENVIRON}, "--url", service.url, "--session", "none") as device:
        device.wait_for("this machine has no microphone")
        device.wait_for("recovering")
        assert device.process.poll() is None


@pytest.mark.process
def test_a_device_that_is_not_there_is_told(audio: VirtualAudio) -> None:
    """With the names of those that are."""
    environ = {**audio.environ, "EARSHOT_DEVICE__MICROPHONE__DEVICE": "usb"}
    checked = command("--check", environ=environ)
    assert "there is no microphone 'usb'; there are 0 'vmic'" in checked.stdout


def test_wrong_usage_ends_with_a_line(tmp_path: Path) -> None:
    """Broken settings, unknown models, files that are none: one line, status 2, no traceback."""
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "noise.wav").write_bytes(b"RIFFnonsense")
    (tmp_path / "computer.json").write_text('{"wake": {"models": [{"name": "a", "path": "/none.json"}]}}')
    cases = {
        ("--settings", "broken.json"): "is not JSON",
        ("--settings", "none.json"): "cannot be read",
        ("--input-wav", "none.wav"): "cannot be read",
        ("--input-wav", "noise.wav"): "is no WAV",
        ("--settings", "computer.json"): "there is no file /none.json",
    }
    for (flag, name), told in cases.items():
        ended = command(flag, str(tmp_path / name))
        assert (told in ended.stderr, ended.stderr.count("\n")) == (True, 1), ended.stderr


# ---- from files ------------------------------------------------------------------------------------------------------


def from_file(tmp_path: Path, sound: bytes, *arguments: str, **environ: str) -> tuple[list[str], bytes]:
    """Let a device hear a file fast; return what it told and what it played."""
    (tmp_path / "in.wav").write_bytes(sound)
    files = ["--input-wav", str(tmp_path / "in.wav"), "--output-wav", str(tmp_path / "out.wav")]
    made = {**os.environ, **WHISTLE_ENVIRON, "EARSHOT_DEVICE__HEARTBEAT__ENABLED": "false", **environ}
    with running(made, *files, "--fast", *arguments) as device:
        device.process.wait(60)
    with wave.open(str(tmp_path / "out.wav")) as file:
        return [line.split(" ", 1)[1] for line in device.lines], file.readframes(file.getnframes())


@pytest.mark.process
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_a_file_takes_the_same_path(rate: int, channels: int, service: RunningService, tmp_path: Path) -> None:
    """Wake word, question and answer, also from a file that is stereo and of another rate."""
    at = round(1.5 * rate)
    voice = np.random.default_rng(0).normal(0, 3000, at).astype("<i2").tobytes()
    room = np.random.default_rng(1).normal(0, 8, at).astype("<i2").tobytes()
    sound = np.frombuffer(room + whistle(0.3, rate) + voice + room, "<i2")
    body = wav(np.repeat(sound, channels).astype("<i2").tobytes(), rate, channels)
    lines, played = from_file(tmp_path, body, "--url", service.url, "--session", f"file{rate}")
    states = [line for line in lines if line in ("listening", "recording", "waiting", "speaking")]
    assert states == ["listening", "recording", "waiting", "speaking", "listening"], lines
    assert max(spans(played)) > 0.3


@pytest.mark.process
def test_a_server_that_is_down_is_told(tmp_path: Path) -> None:
    """The question is kept for as long as is set, tones and lines say so, and the device does not hang."""
    question = wav(noise(1.5) + whistle(0.3) + noise(1.0, 3000) + noise(1.0))
    lines, _ = from_file(tmp_path, question, "--url", "http://127.0.0.1:1", EARSHOT_DEVICE__SERVER__KEEP_S="8")
    told = "\n".join(lines)
    assert "no replies: http://127.0.0.1:1 does not answer" in told
    assert "it is kept and sent again" in told
    assert "the question was not taken" in lines[-1] or "the question was not taken" in lines[-2]


@pytest.mark.process
def test_a_token_that_is_missing_is_told(tmp_path: Path) -> None:
    """401 in every place: the line says where to put the token."""
    question = wav(noise(1.5) + whistle(0.3) + noise(1.0, 3000) + noise(1.0))
    with answering(lambda *_: refusal(401, "unauthorized")) as server:
        lines, _ = from_file(tmp_path, question, "--url", server.url)
    assert sum("give the token with --token" in line for line in lines) == 2


@pytest.mark.process
def test_settings_change_while_it_runs(audio: VirtualAudio, tmp_path: Path) -> None:
    """A broken file keeps the old settings, a good one takes effect on the running detector."""
    path = tmp_path / "device.json"
    path.write_text('{"wake": {"models": [{"name": "w", "engine": "scripted", "path": "1000"}]}}')
    nothing = refusal(404, "nothing-yet", **{"Retry-After": "1"})
    with answering(lambda method, *_: nothing if method == "GET" else as_json(200, {})) as server:
        arguments = ("--settings", str(path), "--url", server.url)
        with running(audio.environ, *arguments) as device:
            device.wait_for("listening")
            path.write_text("{")
            device.wait_for("the settings are not taken, the old ones stay")
            path.write_text('{"wake": {"models": [{"name": "x", "engine": "scripted", "path": "2000"}]}}')
            device.wait_for("the settings have changed")
            audio.speak(noise(2.0) + whistle(0.3) + noise(1.0))
            device.wait_for("wake word x")
            path.write_text('{"microphone": {"device": "vmic"}}')
            device.wait_for("microphone: vmic")
            device.wait_for("listening", times=2)


@pytest.mark.process
def test_push_to_talk_with_the_enter_key(audio: VirtualAudio, service: RunningService) -> None:
    """Enter begins, Enter ends, and the answer is heard."""
    arguments = ("--url", service.url, "--session", "keys", "--no-wake")
    with running(audio.environ, *arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as device:
        assert device.process.stdin is not None
        with device.process.stdin as keys:
            device.wait_for("listening")
            device.wait_for("speaker:")
            keys.write("\n")
            keys.flush()
            device.wait_for("recording")
            audio.speak(noise(1.5, 3000))
            keys.write("\n")
            keys.flush()
            device.wait_for("speaking")
            device.wait_for("listening", times=2)
