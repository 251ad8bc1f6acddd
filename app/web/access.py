"""Who is asking, which session that means, and how often they may ask."""

from __future__ import annotations

import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, g, request

from app.config import ServerConfig
from app.errors import BadRequest, RateLimited, Unauthorized

OPEN_ROUTES = frozenset({"pages.health", "pages.index", "pages.status_page", "static"})
"""Asked by load balancers, which have no token, and by browsers, which send none for the parts of a page."""
_SESSION_NAME = re.compile(r"[\w.:@-]{1,64}", re.ASCII)
_MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent the request."""

    name: str
    "The token's name, else the client's address."
    is_admin: bool
    "May see all sessions; everyone may where no tokens are configured."


def install(app: Flask, server: ServerConfig, limiter: RateLimiter) -> None:
    """Check every request before its route sees it."""

    def check() -> None:
        if request.endpoint in OPEN_ROUTES:
            return
        g.caller = identify(
            server, request.remote_addr or "", request.headers.get("Authorization", ""), request.args.get("token", "")
        )
        limiter.count(g.caller.name)

    app.before_request(check)


def identify(server: ServerConfig, address: str, authorization: str, token_in_query: str) -> Caller:
    """Return who sent a request; raises Unauthorized.

    authorization: the header.
    """
    if not server.tokens:
        return Caller(address or "local", is_admin=True)
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer":
        given = token_in_query
    found = None
    for name, token in server.tokens.items():
        # Every token is compared, so that the time taken tells nothing.
        if hmac.compare_digest(token.token.encode(), given.strip().encode()):
            found = Caller(name, token.admin)
    if found is None:
        problem = "the token is not known" if given else "a token is needed"
        raise Unauthorized(f"{problem}; send the header 'Authorization: Bearer TOKEN', or ?token=TOKEN")
    return found


def session_name(otherwise: str = "") -> str:
    """Return the name of the session that the current request is about.

    otherwise: the name that the device gave in another place than the query and the header.
    """
    return name_session(g.caller, request.args.get("session") or request.headers.get("X-Session-Id") or otherwise)


def name_session(caller: Caller, asked: str) -> str:
    """Return the full name of the session that a caller asks for; empty for its own.

    A device's own names are kept apart from those of other devices; an administrator may name any session.
    """
    if not asked:
        return caller.name
    if not all(_SESSION_NAME.fullmatch(part) for part in asked.split("/", 1 if caller.is_admin else 0)):
        raise BadRequest(f"session: is {asked[:80]!r}; allowed are 1 to 64 letters, digits and . _ : @ -")
    return asked if caller.is_admin else f"{caller.name}/{asked}"


class RateLimiter:
    """Allows each caller a number of requests per minute, spread evenly with a burst of a quarter of them."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = per_minute / 60
        self._burst = max(1.0, per_minute / 4)
        self._clock = clock
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, caller: str) -> None:
        """Count a request; raises RateLimited."""
        if not self._rate_per_s:
            return
        now_s = self._clock()
        left, then_s = self._callers.pop(caller, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._rate_per_s)
        self._callers[caller] = (max(0.0, left - 1), now_s)
        if len(self._callers) > _MAX_CALLERS:
            self._callers.popitem(last=False)
        if left < 1:
            wait_s = (1 - left) / self._rate_per_s
            raise RateLimited("more requests than server.requests_per_minute allows", retry_after_s=round(wait_s, 1))
