"""Who may open a live conversation: the door of `/ws`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.conversation.session import Session
from app.dialects.live import Conversation, Receive, Send
from app.errors import Forbidden, VoiceError
from app.live_protocol import ON_SOUND
from app.service import Service
from app.web.access import RateLimiter, identify, name_session

Scope = dict[str, Any]


class LiveDoor:
    """An ASGI app: checks who wants to talk live, and holds the conversation."""

    def __init__(self, service: Service, limiter: RateLimiter) -> None:
        self._service = service
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            session = self._admit(scope)
        except VoiceError as error:
            await refuse(send, error)
            return
        await send({"type": "websocket.accept"})
        conversation = Conversation(self._service, session, send)
        scope[ON_SOUND] = conversation.take_sound
        await conversation.hold(receive)

    def _admit(self, scope: Scope) -> Session:
        """Return the session that is asked for; raises what an HTTP request would be answered."""
        server = self._service.config.server
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        check_origin(headers.get("origin", ""), headers.get("host", ""), server.origins)
        address = (scope.get("client") or ("", 0))[0]
        caller = identify(server, address, headers.get("authorization", ""), query.get("token", ""))
        self._limiter.count(caller.name)
        return self._service.sessions.open(name_session(caller, query.get("session", "")))


def check_origin(origin: str, host: str, allowed: Iterable[str]) -> None:
    """Raise Forbidden when a page of another site opens the connection; scripts and devices send no origin."""
    if origin and origin not in allowed and _place_of(origin) != host.lower():
        raise Forbidden(f"pages of {origin[:80]} may not talk to this server; list it in server.origins")


def _place_of(origin: str) -> str | None:
    """Return the host and port of an origin; None when it is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


async def refuse(send: Send, error: VoiceError) -> None:
    """Answer a handshake as an HTTP request that failed is answered."""
    body = json.dumps({"error": {"code": error.code, "message": error.message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
