"""The device and the network: what goes up, what comes down, and what happens when it does not."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.device.courier import Courier, utc_text
from clients.device.heartbeat import Condition, Heartbeat, WakeCounts, heartbeat_body
from clients.device.outbox import Outbox
from clients.device.player import Player
from clients.device.replies import Replies
from clients.device.settings import ServerSettings
from clients.device.steps import Event, ReplyEnded, Uploaded, UploadFailed
from clients.device.uplink import Uplink
from clients.device.utterance import Utterance
from clients.service import Lost
from tests.clients.device.scenes import Answering, answering, as_json, refusal, settings, wait_until

TAKEN = as_json(200, {"turn": "t1"})
NOTHING = refusal(404, "nothing-yet")


def utterance(*chunks: bytes, is_finished: bool = True) -> Utterance:
    made = Utterance()
    for chunk in chunks:
        made.add(chunk)
    if is_finished:
        made.finish()
    return made


# ---- up --------------------------------------------------------------------------------------------------------------


def test_an_utterance_can_be_read_again() -> None:
    """From its beginning, as often as it takes; what comes after its end is none of it."""
    made = utterance(b"ab", b"", b"cd")
    made.add(b"ef")
    assert [b"".join(made.chunks()) for _ in range(2)] == [b"abcd", b"abcd"]


def test_a_recording_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request does not wait for ever for sound that never comes."""
    monkeypatch.setattr("clients.device.utterance.STALLED_S", 0.01)
    with pytest.raises(Lost, match="stalled"):
        list(utterance(b"ab", is_finished=False).chunks())


@given(st.lists(st.sampled_from(["add", "send", "fail", "complete"]), max_size=60), st.integers(1, 5))
def test_the_outbox_is_bounded_and_in_order(steps: list[str], most: int) -> None:
    """Whatever happens, no more than so many are kept, none longer than that, and the oldest is sent first."""
    outbox = Outbox(ServerSettings(keep_utterances=most, keep_s=100))
    now_s, order = 0.0, []
    for step in steps:
        now_s += 1
        if step == "add":
            order.append(utterance())
            del order[: outbox.add(order[-1], now_s)]
        now_s += outbox.wait_s(now_s) if len(outbox) else 0
        kept = outbox.due(now_s)
        assert (kept is None) == (not order)
        if kept is None or step == "add":
            continue
        assert kept.utterance is order[0]
        if step == "send":
            outbox.sent(kept)
            order.pop(0)
        elif not outbox.failed(kept, now_s, was_complete=step == "complete"):
            order.pop(0)
        assert len(outbox) == len(order) <= most


class Up:
    """An uplink at a server, and what it told."""

    def __init__(self, server: Answering, **tree: Any) -> None:
        self.events: list[Event] = []
        self.cancelled: list[list[str]] = []
        self.uplink = Uplink(
            settings({"server": tree} if tree else None, server.url), self.events.append, self.cancelled.append
        )


def test_speech_goes_up_while_it_is_spoken() -> None:
    """The service has the first of it before the last is there, and all of it in the end."""
    with answering(lambda *_: TAKEN) as server:
        up = Up(server)
        growing = utterance(b"ab", is_finished=False)
        up.uplink.send(growing)
        thread = threading.Thread(target=up.uplink.work)
        thread.start()
        growing.add(b"cd")
        growing.finish()
        thread.join(10)
        assert server.asked == [("POST", "/upload?session=room&interrupt=1", b"abcd")]
        assert up.events == [Uploaded("t1")]


def test_what_broke_off_is_sent_again() -> None:
    """The same audio, without being spoken again; the copy that may have arrived is ended."""
    answers = [None, refusal(503, "overloaded", **{"Retry-After": "0"}), TAKEN]
    with answering(lambda *_: answers.pop(0)) as server:
        up = Up(server)
        up.uplink.send(utterance(b"abcd"))
        up.uplink.start()
        wait_until(lambda: len(up.events) == 3, "three tries")
        up.uplink.stop()
        assert [body for _, _, body in server.asked] == [b"abcd"] * 3
        assert ["interrupt=1" in path for path in server.paths("POST")] == [True, True, False]
        assert [getattr(event, "is_kept", None) for event in up.events] == [True, True, None]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (refusal(401, "unauthorized"), "--token"),
        (refusal(413, "audio-too-large"), "413 audio-too-large"),
        ((404, {}, b"<html>no</html>"), "no Earshot service"),
        ((200, {}, b"hello"), ""),
        (as_json(200, {"x": 1}), ""),
    ],
)
def test_what_is_refused_is_not_sent_again(answer: Any, told: str) -> None:
    """The user hears of it, and nothing is kept."""
    with answering(lambda *_: answer) as server:
        up = Up(server)
        up.uplink.send(utterance(b"abcd"))
        up.uplink.work()
        assert up.uplink.n_kept == 0
        (event,) = up.events
        assert isinstance(event, UploadFailed)
        assert not event.is_kept
        assert told in event.why


def test_a_server_that_is_down_is_told_and_the_rest_is_bounded() -> None:
    """The oldest goes when too many wait."""
    up = Up(Answering(), url="http://127.0.0.1:1", keep_utterances=2)
    for number in range(4):
        up.uplink.send(utterance(bytes([number, 0])))
        up.uplink.work()
    assert up.uplink.n_kept == 2
    assert [event.is_kept for event in up.events if isinstance(event, UploadFailed)].count(False) == 2
    assert "does not answer" in up.events[0].why  # type: ignore[union-attr]


def test_a_server_that_is_slow_is_left_alone() -> None:
    """The listener never waits for it: handing over is done at once."""
    may_answer = threading.Event()
    with answering(lambda *_: (may_answer.wait(20) and TAKEN) or TAKEN) as server:
        up = Up(server)
        up.uplink.start()
        up.uplink.send(utterance(b"ab"))
        wait_until(lambda: server.asked, "the upload")
        up.uplink.interrupt()
        up.uplink.send(utterance(b"cd"))
        assert up.uplink.n_kept == 2
        may_answer.set()
        wait_until(lambda: len(up.events) == 2, "both uploads")
        up.uplink.stop()


def test_silence_is_asked_for() -> None:
    """The turns that the service cancelled are known; a service without the session is no trouble."""
    answers = [as_json(200, {"cancelled": ["t1", "t2"]}), refusal(404, "unknown-session")]
    with answering(lambda *_: answers.pop(0)) as server:
        up = Up(server)
        for _ in range(2):
            up.uplink.interrupt()
            up.uplink.work()
        assert server.paths("POST") == ["/interrupt?session=room"] * 2
        assert up.cancelled == [["t1", "t2"], []]


def test_the_token_goes_to_the_service_only() -> None:
    """A heartbeat to another address does not carry it."""
    from clients.device.link import Link

    with answering(lambda *_: as_json(200, {})) as server, answering(lambda *_: as_json(200, {})) as other:
        link = Link(settings({"server": {"token": "secret"}}, server.url))
        sent = [link.ask("POST", "/x", to=to).request.headers for to in ("", other.url + "/beat")]
        assert [headers.get("Authorization") for headers in sent] == ["Bearer secret", None]


# ---- down ------------------------------------------------------------------------------------------------------------


def sentence(turn: str, index: int, pcm16: bytes, **headers: str) -> Any:
    return 200, {"X-Turn": turn, "X-Segment": str(index), **headers}, pcm16


def ended(turn: str, **headers: str) -> Any:
    return 204, {"X-Turn": turn, **headers}, b""


class Down:
    """Something that fetches, from a server that gives these answers one after the other, and then nothing."""

    def __init__(self, server: Answering, rate: int = 16000) -> None:
        made = settings(url=server.url)
        self.events: list[Event] = []
        self.told: list[str] = []
        self.player = Player(made.speaker, rate, lambda _event: None)
        self.replies = Replies(made, self.player, self.events.append, self.told.append)

    def played(self) -> bytes:
        return self.player.fill(20000).rstrip(b"\0")


def in_turn(*answers: Any) -> Any:
    left = list(answers)
    return lambda *_: left.pop(0) if left else NOTHING


def test_a_reply_is_played_sentence_by_sentence() -> None:
    """At the speaker's rate, until the service says that it is over."""
    with answering(in_turn(sentence("t", 0, b"\1\1" * 3000), sentence("t", 1, b"\2\2" * 10), ended("t"))) as server:
        down = Down(server, 44100)
        assert [down.replies.work() for _ in range(3)] == [0, 0, 0]
        assert down.played() == b"\1\1" * 3000 + b"\2\2" * 10
        assert down.events == [ReplyEnded("t", has_sound=True)]
        assert set(server.paths("GET")) == {"/audio?session=room&format=pcm&rate=44100&timeout=30"}


def test_a_sentence_that_breaks_off_is_joined() -> None:
    """It is asked for by its number, and what was played is not played again."""
    whole = bytes(range(1, 251)) * 40
    broken = sentence("t", 0, whole[:5000], **{"Content-Length": str(len(whole))})

    def answer(_method: str, path: str, _body: bytes) -> Any:
        if "segment=" in path:
            return sentence("t", 0, whole)
        return broken if len(server.asked) == 1 else ended("t")

    with answering(answer) as server:
        down = Down(server)
        # The handler keeps the connection open behind a body that is too short: let it go.
        broken[1]["Connection"] = "close"
        assert down.replies.work() > 0
        assert down.replies.work() == 0
        assert down.played() == whole
        assert "turn=t&segment=0" in server.paths("GET")[1]
        down.replies.work()
        assert down.events == [ReplyEnded("t", has_sound=True)]


def test_what_was_interrupted_is_not_played() -> None:
    """Neither what is in line nor what comes later of that turn; other turns are."""
    with answering(
        in_turn(sentence("old", 0, b"\1\1"), sentence("old", 1, b"\2\2"), ended("old"), sentence("new", 0, b"\3\3"))
    ) as server:
        down = Down(server)
        down.replies.work()
        down.replies.drop("")
        for _ in range(3):
            down.replies.work()
        assert down.played() == b"\3\3"
        assert down.events == []


def test_a_speaker_that_wants_another_rate_gets_it() -> None:
    """A sentence that was asked for at the old rate is asked for once more."""
    with answering(in_turn(sentence("t", 0, b"\1\1"), sentence("t", 0, b"\2\2" * 3))) as server:
        down = Down(server)
        plain = down.replies._link.ask

        def ask(*args: Any, **options: Any) -> Any:
            response = plain(*args, **options)
            down.player.change_rate(48000, settings().speaker)
            return response

        down.replies._link.ask = ask  # type: ignore[method-assign]
        down.replies.work()
        down.replies.work()
        assert down.played() == b"\2\2" * 3
        assert ["rate=48000" in path for path in server.paths("GET")] == [False, True]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (refusal(401, "unauthorized"), "--token"),
        ((404, {}, b"not here"), "no Earshot service"),
        (refusal(404, "not-found"), "does not know GET /audio"),
        (refusal(503, "starting", **{"Retry-After": "7"}), "this is starting"),
        ((500, {}, b"oops"), "500"),
        (None, "does not answer"),
    ],
)
def test_trouble_for_ever_is_told_once(answer: Any, told: str) -> None:
    """With waits that grow to a minute; and when it is over, that is told too."""
    answers = [answer] * 12
    with answering(lambda *_: answers.pop() if answers else NOTHING) as server:
        down = Down(server)
        waits = [down.replies.work() for _ in range(12)]
        assert waits[-1] == 60
        assert waits == sorted(waits)
        assert len(down.told) == 1
        assert told in down.told[0]
        assert down.replies.work() == 1
        assert down.told[1] == "replies are coming again"


# ---- webhooks and heartbeat ------------------------------------------------------------------------------------------


def test_a_webhook_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing over is done at once; when it is not taken it is tried again, and at last given up with a line."""
    monkeypatch.setattr("clients.device.courier.FIRST_WAIT_S", 0.01)
    told: list[str] = []
    may_end = threading.Event()
    with answering(lambda *_: (may_end.wait(5) and None) or None) as server:
        courier = Courier(settings({"webhooks": {"timeout_s": 0.1, "tries": 3}}).webhooks, told.append)
        courier.start()
        courier.post(server.url, {"n": 1})
        wait_until(lambda: told, "a line")
        courier.stop()
        may_end.set()
        assert "3 tries" in told[0]
        assert server.asked


def test_webhooks_that_are_refused_are_not_tried_again() -> None:
    """422 stays 422; 500 may pass."""
    told: list[str] = []
    answers = [refusal(422, "no"), refusal(500, "internal"), as_json(200, {})]
    with answering(lambda *_: answers.pop(0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("clients.device.courier.FIRST_WAIT_S", 0.01)
        courier = Courier(settings().webhooks, told.append)
        courier.start()
        for number in range(2):
            courier.post(server.url, {"n": number})
        wait_until(lambda: len(server.asked) == 3, "the second try")
        wait_until(lambda: told, "a line")
        courier.stop()
        assert [json.loads(body)["n"] for _, _, body in server.asked] == [0, 1, 1]


def test_webhooks_do_not_pile_up() -> None:
    """The newest hundred wait."""
    courier = Courier(settings().webhooks, lambda _line: None)
    for number in range(1000):
        courier.post("http://127.0.0.1:1", {"n": number})
    assert len(courier._waiting) == 100


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
WELL = Condition("listening", -50.0, 3, 1, False, 0, 61.7)


def test_a_heartbeat_has_what_servers_want() -> None:
    """Every model with topic, word and status; counts; how the device is; times in UTC."""
    made = settings(
        {"name": "kitchen", "wake": {"models": [{"name": "a", "topic": "light"}, {"name": "b", "enabled": False}]}}
    )
    counts = WakeCounts()
    counts.add("a", NOW - timedelta(hours=2))
    counts.add("a", NOW - timedelta(minutes=1))
    body = json.loads(json.dumps(heartbeat_body(made, counts, WELL, NOW)))
    named = {"instance_id": "earshot-kitchen", "source": "earshot_device", "timestamp": "2026-01-02T03:04:05.000Z"}
    assert named.items() <= body.items()
    assert [(m["name"], m["topic"], m["status"], m["trigger_count"]) for m in body["models"]] == [
        ("a", "light", "active", 2),
        ("b", "general", "inactive", 0),
    ]
    assert body["models"][0]["last_triggered"] == "2026-01-02T03:03:05.000Z"
    assert body["metrics"] == {
        "activations_1h": 1,
        "last_activation": "2026-01-02T03:03:05.000Z",
        "overflows": 3,
        "level_dbfs": -50.0,
    }
    assert {
        "state": "listening",
        "overflows": 3,
        "level_dbfs": -50.0,
        "client_version": "0.1.0",
    }.items() <= body.items()


def test_a_heartbeat_that_is_not_taken_waits_longer() -> None:
    """2, 4, 8 … 300 s, told once; an `error` with a good status counts as not taken."""
    answers: list[Any] = [as_json(200, {"status": "error", "message": "no topics"})] * 10 + [
        as_json(200, {"status": "ok"})
    ]
    told: list[str] = []
    with answering(lambda *_: answers.pop(0)) as server:
        beat = Heartbeat(settings({"heartbeat": {"every_s": 30}}, server.url), lambda _now: {}, told.append)
        assert [beat.beat() for _ in range(11)] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 30]
        assert told == ["the heartbeat is not taken: no topics", "the heartbeat is taken again"]
        assert server.paths("POST")[0] == "/heartbeat?session=room"


def test_a_change_is_told_at_once_where_heartbeats_are_taken() -> None:
    """A service that does not take them is not asked sooner."""
    answers = [as_json(200, {}), as_json(200, {}), refusal(422, "no")]
    told: list[str] = []
    with answering(lambda *_: answers.pop(0)) as server:
        beat = Heartbeat(settings({"heartbeat": {"enabled": True}}, server.url), lambda _now: {}, told.append)
        beat.start()
        wait_until(lambda: len(server.asked) == 1, "the first")
        beat.news()
        wait_until(lambda: len(server.asked) == 2, "the second")
        beat.news()
        wait_until(lambda: told, "a complaint")
        beat.news()
        beat.stop()
        assert len(server.asked) == 3


def test_times_know_their_zone() -> None:
    """A time without one is a mistake."""
    assert utc_text(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00.000Z"
    with pytest.raises(AssertionError):
        utc_text(datetime(2026, 1, 1))
