"""POST /heartbeat, GET /heartbeat and GET /devices."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Config, ServerConfig, TokenConfig
from app.dialects.heartbeats import MAX_BODY_BYTES, parse_heartbeat

MODEL = {"name": "nabu", "topic": "general", "wake_word": "okay nabu", "status": "active", "trigger_count": 3}
ORIGIN = {
    "instance_id": "hey-orac-desk",
    "source": "hey_orac",
    "timestamp": "2026-01-31T12:00:00.000000Z",
    "models": [
        {**MODEL, "type": "wake_word", "metadata": {"sensitivity": 0.5}, "last_triggered": "2026-01-31T11:00:00"}
    ],
    "metrics": {"activations_1h": 2, "last_activation": None},
}
"""What a device of Hey ORAC sends."""
OURS = {
    **ORIGIN,
    "source": "earshot",
    "session": "desk",
    "state": "listening",
    "wake_counts": {"nabu": 4},
    "level_dbfs": -48.5,
    "overflows": 1,
    "client_version": "0.1.0",
    "uptime_s": 60,
}
SERVER = ServerConfig(tokens={n: TokenConfig(f"secret-{n}", admin=n == "boss") for n in ("kitchen", "hall", "boss")})


@pytest.fixture
def client() -> FlaskClient:
    return create_app(Config()).test_client()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret-{name}"}


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in ORIGIN.items() if k != key}


def test_a_device_of_the_origin_is_taken(client: FlaskClient) -> None:
    """Its heartbeat is answered as its own server did, and it is listed with how often its models fired."""
    answer = client.post("/heartbeat", json=ORIGIN)
    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ok", "message": "the heartbeat was taken", "topics_processed": 1},
    )
    (device,) = client.get("/devices").get_json()
    assert (device["instance_id"], device["source"], device["online"]) == ("hey-orac-desk", "hey_orac", True)
    assert device["wake_counts"] == {"nabu": 3}
    assert device["session"] == "127.0.0.1"
    assert device["state"] is None


def test_a_device_of_ours_says_more(client: FlaskClient) -> None:
    """What it says of itself is listed, and a session in the query goes before that in the body."""
    client.post("/heartbeat", json=OURS)
    (device,) = client.get("/devices").get_json()
    assert device["last_seen_ago_s"] >= 0
    assert device["last_seen_at_s"] > 1_600_000_000
    shown = ("session", "state", "wake_counts", "level_dbfs", "overflows", "client_version", "uptime_s")
    assert [device[key] for key in shown] == ["desk", "listening", {"nabu": 4}, -48.5, 1, "0.1.0", 60.0]
    client.post("/heartbeat?session=shelf", json=OURS)
    assert [device["session"] for device in client.get("/devices").get_json()] == ["shelf"]


def test_the_type_of_the_body_does_not_matter(client: FlaskClient) -> None:
    """A device that sends no Content-Type, or that of a form, is understood."""
    text = '{"instance_id": "esp", "source": "micropython", "timestamp": 0, "models": []}'
    assert client.post("/heartbeat", data=text).json["topics_processed"] == 0
    form = "application/x-www-form-urlencoded"
    assert client.post("/heartbeat", data=text, content_type=form).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        *[pytest.param(without(key), key, id=key) for key in ("instance_id", "source", "timestamp", "models")],
        ({**ORIGIN, "instance_id": ""}, "instance_id: is ''"),
        ({**ORIGIN, "instance_id": "x" * 129}, "instance_id"),
        ({**ORIGIN, "source": "\ud800"}, "source"),
        ({**ORIGIN, "models": {}}, "models: must be a list"),
        ({**ORIGIN, "models": [MODEL] * 65}, "models: must be a list"),
        ({**ORIGIN, "models": [MODEL, "nabu"]}, "models[1].topic"),
        *[
            ({**ORIGIN, "models": [{**MODEL, key: None}]}, f"models[0].{key}")
            for key in ("topic", "wake_word", "status")
        ],
        ({**ORIGIN, "session": "a b"}, "session"),
        ([ORIGIN], "must be a JSON object"),
    ],
)
def test_what_is_required(client: FlaskClient, body: object, said: str) -> None:
    """Without it the answer is 400 and names what is missing; nothing is listed."""
    answer = client.post("/heartbeat", json=body)
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "bad-request"
    assert said in answer.json["error"]["message"]
    assert client.get("/devices").get_json() == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 60_000, b"1" * 10_000, b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}']
)
def test_no_json(client: FlaskClient, body: bytes) -> None:
    """Whatever else comes is 400, and a body without end is not read."""
    assert client.post("/heartbeat", data=body).status_code == 400


@pytest.mark.parametrize(
    "strange",
    [
        {
            "state": 5,
            "client_version": ["1"],
            "uptime_s": "long",
            "level_dbfs": True,
            "overflows": -1,
            "wake_counts": 7,
        },
        {"level_dbfs": float("nan"), "uptime_s": float("inf"), "overflows": 10**400, "state": "a\nb"},
        {"wake_counts": {"nabu": "often"}, "level_dbfs": None, "state": "x" * 1000},
    ],
)
def test_strange_values_count_as_not_sent(strange: dict[str, Any]) -> None:
    """A value of another type in what is not required does not cost the heartbeat."""
    heartbeat = parse_heartbeat({**ORIGIN, **strange})
    assert (heartbeat.state, heartbeat.level_dbfs, heartbeat.overflows, heartbeat.uptime_s) == (None,) * 4
    assert heartbeat.wake_counts == {"nabu": 3}


def test_a_sign_of_life(client: FlaskClient) -> None:
    """GET /heartbeat lists a device under its session's name, and opens no session."""
    assert client.get("/heartbeat?session=esp").json == {"status": "ok"}
    (device,) = client.get("/devices").get_json()
    assert (device["instance_id"], device["session"], device["online"]) == ("esp", "esp", True)
    assert client.post("/interrupt?session=esp").status_code == 404


def test_each_token_sees_its_own_devices() -> None:
    """A device sees those of its token, an administrator all; a device's session stands below its token's name."""
    client = create_app(Config(server=SERVER)).test_client()
    for name in ("kitchen", "hall"):
        assert client.post("/heartbeat", json=OURS, headers=bearer(name)).status_code == 200

    def seen(name: str) -> list[str]:
        return [device["session"] for device in client.get("/devices", headers=bearer(name)).get_json()]

    assert seen("kitchen") == ["kitchen/desk"]
    assert seen("hall") == ["hall/desk"]
    assert seen("boss") == ["hall/desk", "kitchen/desk"]
    assert client.get("/devices").status_code == client.post("/heartbeat", json=OURS).status_code == 401


def test_online_devices_are_counted(client: FlaskClient) -> None:
    """Prometheus sees how many devices are there."""
    client.post("/heartbeat", json=ORIGIN)
    assert "earshot_devices_online 1.0" in client.get("/metrics").text
