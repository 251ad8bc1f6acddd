"""Who may ask, and how often."""

from __future__ import annotations

import pytest
from flask import Flask

from app.config import ServerConfig, TokenConfig
from app.errors import BadRequest, RateLimited, Unauthorized
from app.web.access import Caller, RateLimiter, identify, session_name

SERVER = ServerConfig(tokens={"kitchen": TokenConfig("secret-1"), "boss": TokenConfig("secret-2", admin=True)})


def asked(path: str = "/audio", server: ServerConfig = SERVER, **headers: str) -> tuple[Caller, str]:
    """Return the caller and the session of a request."""
    from flask import g, request

    with Flask(__name__).test_request_context(path, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"}):
        g.caller = identify(
            server, request.remote_addr or "", request.headers.get("Authorization", ""), request.args.get("token", "")
        )
        return g.caller, session_name()


def test_without_tokens_the_address_is_the_session() -> None:
    """A device with no id is its own session, and nobody is kept out."""
    assert asked(server=ServerConfig()) == (Caller("192.0.2.7", True), "192.0.2.7")
    assert asked("/audio?session=desk", server=ServerConfig())[1] == "desk"
    assert asked(server=ServerConfig(), **{"X-Session-Id": "desk"})[1] == "desk"


def test_a_token_names_the_device() -> None:
    """The token's name is the session; names the device gives stand below it."""
    bearer = {"Authorization": "Bearer secret-1"}
    assert asked(**bearer) == (Caller("kitchen", False), "kitchen")
    assert asked("/audio?session=desk", **bearer)[1] == "kitchen/desk"
    assert asked("/audio?token=secret-1")[1] == "kitchen"


def test_an_administrator_names_any_session() -> None:
    """An administrator reaches the sessions of all devices."""
    assert asked("/audio?session=kitchen/desk", Authorization="bearer secret-2") == (
        Caller("boss", True),
        "kitchen/desk",
    )


@pytest.mark.parametrize("path", ["/audio", "/audio?token=", "/audio?token=wrong", "/audio?token=secret"])
def test_a_wrong_token_is_refused(path: str) -> None:
    """Without a known token nothing is answered, and the token that came is not repeated."""
    with pytest.raises(Unauthorized) as raised:
        asked(path)
    assert "wrong" not in raised.value.message


@pytest.mark.parametrize("name", ["a b", "x" * 65, "ä", "../x", "kitchen/x", "*"])
def test_session_names_are_checked(name: str) -> None:
    """A session name cannot be long, odd or somebody else's."""
    with pytest.raises(BadRequest):
        asked(f"/audio?session={name}", Authorization="Bearer secret-1")


def test_the_rate_limit_counts_each_caller() -> None:
    """A burst of a quarter is allowed, then the rate; callers do not use up each other's share."""
    now = [0.0]
    limiter = RateLimiter(40, clock=lambda: now[0])
    for _ in range(10):
        limiter.count("a")
    with pytest.raises(RateLimited) as raised:
        limiter.count("a")
    assert raised.value.retry_after_s == pytest.approx(1.5)
    limiter.count("b")
    now[0] += 1.6
    limiter.count("a")


def test_no_rate_limit() -> None:
    """0 means that nobody is counted."""
    limiter = RateLimiter(0)
    for _ in range(1000):
        limiter.count("a")
