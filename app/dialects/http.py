"""The HTTP dialect: what thin devices rely on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import MethodNotAllowed

from app.audio.pcm import SPEECH_RATE_HZ
from app.conversation.delivery import Claim
from app.conversation.events import TurnFailed
from app.conversation.session import Session
from app.conversation.turns import Turn
from app.dialects.parameters import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, flag, number, reply_format, reply_rate
from app.dialects.replies import end_response, segment_response, stream_response
from app.dialects.uploads import hear_upload, read_upload
from app.errors import BadRequest, SegmentNotFound
from app.service import current_service
from app.web.access import session_name

blueprint = Blueprint("http", __name__)
MAX_TEXT_CHARS = 4_000


@blueprint.post("/upload")
def upload() -> Response:
    """Take one utterance; its reply is fetched with GET /audio."""
    session, turn = _hear(is_polled=True)
    return jsonify(
        {
            "session": session.id,
            "turn": turn.id,
            "duration_s": round(turn.heard_s, 3),
            "audio_url": f"/audio?session={asked}" if (asked := request.args.get("session")) else "/audio",
        }
    )


@blueprint.post("/talk")
def talk() -> Response:
    """Take one utterance and answer with its reply, streamed while it is being made."""
    audio_format, rate = reply_format(), reply_rate()
    session, turn = _hear(is_polled=False)
    response = stream_response(session.outlet, turn, audio_format, rate)
    # Nobody else hears this reply: when the caller hangs up, the next utterance must not wait for it.
    response.call_on_close(lambda: session.forget(turn, "hung-up"))
    return response


@blueprint.get("/audio")
def audio() -> Response:
    """Give the next sentence of the reply (200), its end (204), or say that nothing came in time (404)."""
    if request.method == "HEAD":
        # It would take a sentence or an end away without giving it to anybody.
        raise MethodNotAllowed(["GET"])
    timeout_s = number("timeout", DEFAULT_TIMEOUT_S, 0, MAX_TIMEOUT_S)
    audio_format, rate = reply_format(), reply_rate()
    session = current_service().sessions.open(session_name())
    if "turn" in request.args and "segment" in request.args:
        return _refetch(session, timeout_s, audio_format, rate)
    if flag("stream"):
        with _waiting_place(timeout_s) as wait_s:
            turn = session.outlet.wait_for_turn(wait_s)
        return _nothing_yet(timeout_s) if turn is None else stream_response(session.outlet, turn, audio_format, rate)
    claim = _claim(session, timeout_s)
    if claim is None:
        return _nothing_yet(timeout_s)
    if claim.segment is None:
        return end_response(claim)
    return segment_response(claim, claim.segment, audio_format, rate)


@blueprint.post("/interrupt")
def interrupt() -> Response:
    """Cancel the turn in progress and drop what was not yet delivered."""
    session = current_service().sessions.find(session_name())
    return jsonify({"session": session.id, "cancelled": [turn.id for turn in session.interrupt("interrupted")]})


@blueprint.post("/say")
def say() -> Response:
    """Let the device's speaker say a text or play a sound: a turn without a question."""
    service = current_service()
    service.sessions.admit()
    session = service.sessions.open(session_name())
    if request.is_json:
        turn = session.speak(_text_to_say(request.get_json(silent=True)))
    else:
        turn = session.play(read_upload(service.config.server.max_utterance_s), SPEECH_RATE_HZ)
    return jsonify({"session": session.id, "turn": turn.id})


@blueprint.get("/turns/<turn_id>")
def show_turn(turn_id: str) -> Response:
    """Show one turn: what was said, what became of it, and when each thing happened."""
    session = current_service().sessions.find(session_name())
    turn = session.turn(turn_id)
    with session.lock:
        return jsonify(_describe(turn))


def _text_to_say(body: object) -> str:
    text = body.get("text") if isinstance(body, dict) else None
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_TEXT_CHARS:
        raise BadRequest(f'the body must be {{"text": "..."}} with 1 to {MAX_TEXT_CHARS} characters')
    return text


def _hear(is_polled: bool) -> tuple[Session, Turn]:
    service = current_service()
    service.sessions.admit()
    session = service.sessions.open(session_name())
    interrupts = flag("interrupt")

    def before() -> None:
        if interrupts:
            session.interrupt("new-utterance", is_superseded=True)

    turn = hear_upload(session, service.config.server.max_utterance_s, is_polled=is_polled, before=before)
    return session, turn


@contextmanager
def _waiting_place(timeout_s: float) -> Iterator[float]:
    """Take one of the places for requests that wait; give how long this one may, which is 0 when all are taken."""
    places = current_service().waiting_places
    has_place = places.acquire(blocking=False)
    try:
        yield timeout_s if has_place else 0.0
    finally:
        if has_place:
            places.release()


def _claim(session: Session, timeout_s: float) -> Claim | None:
    """Wait for the session's next audio, as long as the client does."""
    is_gone = threading.Event()

    def leave() -> None:
        is_gone.set()
        session.outlet.more_to_take()

    # Only a server that notices when a client leaves has this.
    request.environ.get("earshot.on_lost", lambda callback: None)(leave)
    with _waiting_place(timeout_s) as wait_s:
        return session.outlet.claim(wait_s, is_gone.is_set)


def _refetch(session: Session, timeout_s: float, audio_format: str, rate: int | None) -> Response:
    """Give a segment again, for a device that lost the connection."""
    turn = session.turn(request.args["turn"])
    index = int(number("segment", 0, 0, 1e6))
    with _waiting_place(timeout_s) as wait_s:
        claim = session.outlet.claim_again(turn, index, wait_s)
    if claim is None or claim.segment is None:
        raise SegmentNotFound(f"turn {turn.id} has no segment {index} to play, or not any more")
    return segment_response(claim, claim.segment, audio_format, rate)


def _nothing_yet(timeout_s: float) -> Response:
    response = jsonify({"error": {"code": "nothing-yet", "message": f"no audio came in {timeout_s:g} s; ask again"}})
    response.status_code = 404
    if timeout_s > 0:
        # Also when all places for waiting were taken and nothing was waited for.
        response.headers["Retry-After"] = "1"
    return response


def _describe(turn: Turn) -> dict[str, object]:
    end = turn.end
    return {
        "turn": turn.id,
        "session": turn.session_id,
        "kind": turn.kind,
        "state": "open" if end is None else type(end).__name__.removeprefix("Turn").lower(),
        **({"error": {"code": end.code, "message": end.message}} if isinstance(end, TurnFailed) else {}),
        "heard": turn.heard,
        "segments": [
            {"index": s.index, "text": s.text, "skipped": s.is_skipped, "delivered": s.is_delivered}
            for s in turn.segments
        ],
        "waterfall_ms": turn.waterfall(),
    }
