"""Speech in a request body becomes a turn, while it arrives when its length is not known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import request
from werkzeug.exceptions import ClientDisconnected

from app.audio.codecs import StreamDecoder, decode
from app.conversation.session import Session
from app.conversation.turns import Turn
from app.dialects.parameters import upload_rate
from app.errors import BadAudio, VoiceError

WHOLE_BODY_BYTES = 1_000_000
"""A body of known length up to this is read in one go; it is nearly always there already."""
READ_BYTES = 3_200
"""A tenth of a second of PCM16 at 16 kHz: what a device sends at a time."""


def hear_upload(session: Session, max_utterance_s: float, *, is_polled: bool, before: Callable[[], object]) -> Turn:
    """Open a turn with the speech in the current request's body.

    before: called when the body has proved to be sound, just before the turn is opened.
    Raises BadAudio, UnsupportedAudio, AudioTooLarge.
    """
    whole = _whole_body()
    if whole is not None:
        body, content_type = whole
        pcm16 = decode(body, content_type, upload_rate(), max_utterance_s)
        before()
        return session.say_heard(pcm16, is_polled=is_polled)
    return _hear_stream(session, max_utterance_s, is_polled, before)


def read_upload(max_duration_s: float) -> bytes:
    """Return the sound in the current request's body as PCM16 mono at SPEECH_RATE_HZ."""
    body, content_type = _whole_body() or (request.get_data(cache=False), request.content_type or "")
    return decode(body, content_type, upload_rate(), max_duration_s)


def _whole_body() -> tuple[bytes, str] | None:
    """Return the sound and its type when it is all there; None when it is better read as it arrives."""
    if request.mimetype == "multipart/form-data":
        files = [file for files in request.files.listvalues() for file in files]
        if len(files) != 1:
            raise BadAudio(f"the form has {len(files)} files; send exactly one, as in curl -F file=@question.wav")
        return files[0].read(), files[0].content_type or ""
    if request.content_length is None or request.content_length > WHOLE_BODY_BYTES:
        return None
    try:
        return request.get_data(cache=False), request.content_type or ""
    except (ClientDisconnected, OSError):
        raise _broken() from None


def _hear_stream(session: Session, max_utterance_s: float, is_polled: bool, before: Callable[[], object]) -> Turn:
    decoder = StreamDecoder(request.content_type or "", upload_rate(), max_utterance_s)
    hearing = None
    try:
        for body in _body_chunks():
            pcm16 = decoder.feed(body)
            if pcm16 and hearing is None:
                before()
                hearing = session.hear(is_polled=is_polled)
            if hearing is not None:
                hearing.feed(pcm16)
        rest = decoder.finish()
    except VoiceError:
        if hearing is not None:
            hearing.abandon("bad-upload")
        raise
    if hearing is None:
        before()
        return session.say_heard(rest, is_polled=is_polled)
    hearing.finish(rest)
    return hearing.turn


def _body_chunks() -> Iterator[bytes]:
    try:
        while chunk := request.stream.read(READ_BYTES):
            yield chunk
    except (ClientDisconnected, OSError):
        raise _broken() from None


def _broken() -> BadAudio:
    return BadAudio("the connection broke before the body was complete; send it again", code="upload-broken")
