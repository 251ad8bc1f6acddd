"""What went wrong in the device that this one follows: each fault has a test that would have caught it."""

from __future__ import annotations

import ast
import inspect
import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.device import device as device_module
from clients.device.courier import utc_text, webhook_body
from clients.device.detector import Detection
from clients.device.device import Device
from clients.device.health import StreamHealth
from clients.device.heartbeat import Heartbeat
from clients.device.inbox import Inbox
from clients.device.level import rms
from clients.device.machine import Machine
from clients.device.settings import WakeModel
from clients.device.steps import ReplyEnded, SpeechBegan, StreamOpened, Tell, Uploaded, UtteranceEnded, WakeHeard
from clients.device.windows import Windows
from tests.clients.device.scenes import (
    WHISTLE,
    Answering,
    answering,
    as_json,
    noise,
    refusal,
    settings,
    wait_until,
    whistle,
    windows_of,
)
from tests.serving import ROOT

ROOM, WORD, VOICE = noise(2.0), whistle(0.4), noise(1.5, 3000)
NOTHING = refusal(404, "nothing-yet")


class Room:
    """A device without streams: the test is its microphone and its clock is the sound."""

    def __init__(self, server: Answering | None = None, **tree: Any) -> None:
        self.device = Device(settings(tree, server.url if server else "http://127.0.0.1:1"))
        self.device.microphone_opened(self, 0.0)
        self.device.listen()

    name, sample_rate, channels, is_active = "test", 16000, 1, True

    def start(self) -> None: ...

    def close(self) -> None: ...

    def hear(self, *sounds: bytes) -> list[str]:
        """Let the device hear something; return the wake words that it counted meanwhile."""
        before = len(self.device.counts._hour)
        for sound in sounds:
            for window in windows_of(sound):
                self.device.hear(window)
                self.device.listen()
        return ["woken"] * (len(self.device.counts._hour) - before)

    @property
    def state(self) -> str:
        return self.device.machine.state


def detection(**tree: Any) -> Detection:
    return Detection(WakeModel(name="a", **tree), 0.9, 0.5, {"a": 0.9}, False)


def test_bug_1_no_chunk_is_dropped_or_overtaken_while_the_listener_is_busy() -> None:
    """A listener that works for two seconds finds every chunk, in order; no thread is made for any of them."""
    inbox, n_threads = Inbox(125), threading.active_count()
    audio = threading.Thread(target=lambda: [inbox.put_chunk(n.to_bytes(2, "big")) for n in range(100)])
    audio.start()
    audio.join()
    assert [inbox.take_chunk() for _ in range(100)] == [(n.to_bytes(2, "big"), False) for n in range(100)]
    assert threading.active_count() == n_threads


def test_bug_1_stereo_of_any_chunk_size_is_heard_at_full_speed() -> None:
    """2560 bytes of stereo are half a window, not a whole one of interleaved samples."""
    stereo = Windows(16000, 2)
    mono = np.frombuffer(whistle(0.16), "<i2")
    chunks = np.repeat(mono, 2).astype("<i2").tobytes()
    windows = [window for i in range(0, len(chunks), 2560) for window in stereo.feed(chunks[i : i + 2560])]
    assert windows == windows_of(mono.tobytes())


def test_bug_1_every_name_that_is_used_exists() -> None:
    """All modules import, and the types of what they call were checked: nothing calls what is not there."""
    for path in sorted((ROOT / "clients" / "device").glob("*.py")):
        if path.stem not in ("__main__", "__init__"):
            __import__(f"clients.device.{path.stem}")
        annotated = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        assert [node.name for node in annotated if node.returns is None] == [], path


def test_bug_2_new_settings_reach_the_running_detector() -> None:
    """A threshold, a model and a mode that change take effect on the next window, without a restart."""
    room = Room(wake={"models": [{**WHISTLE, "enabled": False}]})
    assert room.hear(ROOM, WORD) == []
    room.device.change(settings())
    assert room.hear(ROOM, WORD) == ["woken"]
    room.device.change(settings({"wake": {"models": [{**WHISTLE, "threshold": 1.0}]}}))
    assert room.hear(ROOM, ROOM, ROOM, WORD) == []


def test_bug_3_one_utterance_fires_once() -> None:
    """A word that is over its threshold in five windows is one word; cooldown and level are used."""
    room = Room(wake={"models": [{**WHISTLE, "stt_enabled": False}]})
    assert room.hear(ROOM, WORD, ROOM) == ["woken"]
    assert room.hear(WORD, noise(0.4), WORD) == ["woken"]
    quiet = Room(wake={"min_rms": 50})
    assert quiet.hear(ROOM, whistle(0.4, level=20.0)) == []


def test_bug_4_a_webhook_that_hangs_costs_no_sound() -> None:
    """While it hangs, everything is heard."""
    may_end = threading.Event()
    with answering(lambda *_: (may_end.wait(10) and as_json(200, {})) or as_json(200, {})) as server:
        room = Room(wake={"models": [{**WHISTLE, "stt_enabled": False, "webhook_url": server.url}]})
        room.device.courier.start()
        assert room.hear(ROOM, WORD) == ["woken"]
        wait_until(lambda: server.asked, "the webhook")
        assert room.hear(ROOM, ROOM, WORD) == ["woken"]
        assert room.device.inbox.n_lost == 0
        may_end.set()
        room.device.courier.stop()


def test_bug_5_the_default_webhook_is_nobody() -> None:
    """A wake word is told to whom the settings name, and never to where audio goes."""
    with answering(lambda *_: NOTHING) as server:
        room = Room(server)
        room.hear(ROOM, WORD)
        room.device.courier.start()
        assert room.device.courier._waiting == []
        room.device.courier.stop()
        assert server.asked == []


def test_bug_6_several_wake_words_at_once_can_be_told() -> None:
    """Scores are plain numbers, whatever the engine gives."""
    scores: Any = {"a": np.float32(0.9), "b": np.float64(0.8)}
    found = Detection(WakeModel(name="a"), np.float32(0.9), np.float32(0.5), scores, True)  # type: ignore[arg-type]
    body = json.loads(json.dumps(webhook_body(found, datetime.now(timezone.utc))))
    assert body["all_scores"] == {"a": pytest.approx(0.9), "b": 0.8}
    assert body["multi_trigger"] is True


def test_bug_7_stt_enabled_decides_and_not_the_webhook() -> None:
    """Without stt_enabled nothing is recorded, with a webhook or without; with it something is, in both modes."""
    for is_multi in (False, True):
        for url in ("", "http://127.0.0.1:1"):
            for stt in (False, True):
                model = {**WHISTLE, "stt_enabled": stt, "webhook_url": url}
                room = Room(wake={"models": [model], "multi_trigger": is_multi})
                room.hear(ROOM, WORD)
                assert (room.state == "recording") == stt


def test_bug_8_the_pre_roll_is_as_loud_as_it_was() -> None:
    """Sound from before and sound from after the wake word are the same samples that the microphone gave."""
    with answering(lambda *_: as_json(200, {"turn": "t"})) as server:
        room = Room(server, recording={"sends_wake_word": True, "pre_roll_ms": 1000})
        heard = b"".join(windows_of(noise(3.0, 100)) + windows_of(WORD) + windows_of(VOICE) + windows_of(ROOM))
        room.hear(heard)
        room.device.uplink.work()
        (sent,) = server.bodies("/upload")
        assert sent in heard
        assert len(sent) > 2 * 16000 * 2
        assert np.abs(np.frombuffer(sent[:16000], "<i2")).max() < 1000


def test_bug_9_what_was_spoken_survives_a_connection_that_breaks() -> None:
    """The kept audio is sent, and nobody has to speak again."""
    answers = [None, as_json(200, {"turn": "t"})]
    with answering(lambda *_: answers.pop(0)) as server:
        room = Room(server)
        room.hear(ROOM, WORD, VOICE, ROOM)
        room.device.uplink.start()
        wait_until(lambda: len(server.asked) == 2, "the second try")
        first, second = server.bodies("/upload")
        assert first == second
        assert len(second) > 2 * 16000
        room.device.uplink.stop()


def test_bug_10_the_first_heartbeat_is_sent_and_the_second_too() -> None:
    """From its own thread, while others count wake words: no lock is taken twice."""
    with answering(lambda *_: as_json(200, {"status": "ok"})) as server:
        room = Room(server, heartbeat={"every_s": 1})
        made = settings({"heartbeat": {"every_s": 1}}, server.url)
        beat = Heartbeat(made, room.device.heartbeat_body, lambda _line: None)
        for _ in range(2):
            room.device.counts.add("whistle", datetime.now(timezone.utc))
            beat.beat()
        assert [json.loads(b)["models"][0]["trigger_count"] for b in server.bodies("/heartbeat")] == [1, 2]


def test_bug_11_a_muted_microphone_does_not_end_the_device() -> None:
    """Ten windows of equal level, a minute or a day of zeros: the device listens on."""
    room = Room()
    room.hear(bytes(2560) * 200)
    assert room.state == "listening"
    health = StreamHealth(settings().microphone)
    health.opened(0.0)
    for step in range(100):
        health.heard(bytes(2560), step * 0.08)
        assert health.check(True, step * 0.08) is None
    assert {rms(bytes(2560))} == {0.0}
    assert room.hear(ROOM, WORD) == ["woken"]


def test_bug_12_no_thread_and_no_loop_is_made_for_a_request() -> None:
    """Twenty questions later there are as many threads as before."""
    with answering(lambda *_: as_json(200, {"turn": "t"})) as server:
        room = Room(server)
        room.device.uplink.start()
        room.hear(ROOM, WORD, VOICE, ROOM)
        wait_until(lambda: len(server.asked) == 1, "the first question")
        sources = [path.read_text() for path in Path(inspect.getfile(device_module)).parent.glob("*.py")]
        assert not any("asyncio" in source for source in sources)
        names = {thread.name for thread in threading.enumerate() if thread.name == "uplink"}
        for _ in range(5):
            room.hear(ROOM, ROOM, WORD, VOICE, ROOM)
        wait_until(lambda: len(server.asked) >= 6, "the others")
        assert {t.name for t in threading.enumerate() if t.name == "uplink"} == names
        assert sum(t.name == "uplink" for t in threading.enumerate()) == 1
        room.device.uplink.stop()


def test_bug_13_parameters_go_where_the_service_reads_them() -> None:
    """In the query, and the rate in the Content-Type; the body is sound and nothing else."""
    with answering(lambda *_: as_json(200, {"turn": "t"})) as server:
        room = Room(server)
        room.hear(ROOM, WORD, VOICE, ROOM)
        room.device.uplink.work()
        ((method, path, body),) = server.asked
        assert (method, path) == ("POST", "/upload?session=room&interrupt=1")
        assert not body.startswith((b"RIFF", b"--"))


def test_bug_14_a_good_status_with_nothing_in_it_is_a_failure() -> None:
    """A turn that ends without a sound is told to the user, as one that failed is."""
    machine = Machine(settings())
    for event in (StreamOpened(), WakeHeard(detection()), SpeechBegan(), UtteranceEnded("silence"), Uploaded("t")):
        machine.handle(event, 0.0)
    told = machine.handle(ReplyEnded("t", has_sound=False), 1.0)
    assert Tell("nothing was understood") in told
    assert [getattr(action, "name", "") for action in told][-1] == "failure"


def test_bug_15_every_time_is_utc_and_says_so() -> None:
    """Numbers and texts of one moment are the same moment, wherever the device stands."""
    at = datetime(2026, 7, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    assert webhook_body(detection(), at)["timestamp"] == 1782900000.0
    assert utc_text(at) == "2026-07-01T10:00:00.000Z"
    sources = [path.read_text() for path in Path(inspect.getfile(device_module)).parent.glob("*.py")]
    assert not any("utcnow" in source or "datetime.now()" in source for source in sources)
