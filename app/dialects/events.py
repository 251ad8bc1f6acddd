"""Server-sent events: a session's log as it grows, or that of all sessions for an administrator.

Source of the wire: WHATWG HTML, section 9.2, server-sent events.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator

from flask import Blueprint, Response, g, request

from app.conversation.events import Event
from app.conversation.session import Session
from app.conversation.sessions import Sessions
from app.dialects.parameters import number
from app.errors import Forbidden, StageUnavailable
from app.service import current_service
from app.web.access import session_name

blueprint = Blueprint("events", __name__)
KEEP_ALIVE_S = 15.0
_MAX_WAITING_EVENTS = 10_000


@blueprint.get("/events")
def events() -> Response:
    """Stream events; `?session=*` gives those of all sessions, `?after=N` or Last-Event-ID those after number N."""
    sessions = current_service().sessions
    if request.args.get("session") == "*":
        if not g.caller.is_admin:
            raise Forbidden("the events of all sessions are for administrators; leave out session=*")
        body = _all_sessions(sessions)
    else:
        after = request.headers.get("Last-Event-ID", "")
        start = int(after) if after.isdecimal() else int(number("after", 0, 0, 1e12))
        body = _one_session(sessions.open(session_name()), start)
    places = current_service().waiting_places
    if not places.acquire(blocking=False):
        raise StageUnavailable("all places for readers that wait are taken (server.threads)", retry_after_s=5.0)
    response = Response(body, content_type="text/event-stream")
    response.call_on_close(places.release)
    response.headers["Cache-Control"] = "no-store"
    return response


def _one_session(session: Session, after: int) -> Iterator[bytes]:
    yield b": welcome\n\n"
    while True:
        session.touch()
        found = session.log.read(after, KEEP_ALIVE_S)
        for event in found:
            yield _frame(event)
            after = event.number
        if not found:
            yield b": still here\n\n"


def _all_sessions(sessions: Sessions) -> Iterator[bytes]:
    waiting: queue.Queue[Event] = queue.Queue(_MAX_WAITING_EVENTS)

    def pass_on(event: Event) -> None:
        # A reader that does not keep up loses events; the numbers of each session show it.
        if not waiting.full():
            waiting.put_nowait(event)

    stop = sessions.listen(pass_on)
    try:
        yield b": welcome\n\n"
        while True:
            try:
                yield _frame(waiting.get(timeout=KEEP_ALIVE_S))
            except queue.Empty:
                yield b": still here\n\n"
    finally:
        stop()


def _frame(event: Event) -> bytes:
    return f"id: {event.number}\nevent: {event.name}\ndata: {json.dumps(event.as_dict())}\n\n".encode()
