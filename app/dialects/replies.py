"""Replies as HTTP responses: one segment, the end of a turn, or a whole turn as one stream."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from urllib.parse import quote

from flask import Response

from app.audio.codecs import encode
from app.audio.resample import StreamResampler
from app.audio.wav import stream_header, write_wav
from app.conversation.delivery import Claim, Outlet
from app.conversation.events import TurnFailed
from app.conversation.segments import Segment
from app.conversation.turns import Turn

CHUNK_TIMEOUT_S = 60.0
"""How long a stream waits for its next audio; the turn's own watchdogs end it long before."""
_PIECE_BYTES = 65_536
STREAM_PCM_RATE_HZ = 16_000
"""Raw PCM16 has no header, so a stream of it has a rate that does not depend on the voice."""
COMPRESSED_TYPES = {"opus": "audio/ogg", "mp3": "audio/mpeg"}


class Delivery:
    """A response body that knows whether all of it was handed to the connection."""

    def __init__(self, body: bytes, settle: Callable[[bool], None]) -> None:
        self._body = body
        self._settle = settle
        self._is_complete = not body

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), _PIECE_BYTES):
            yield self._body[start : start + _PIECE_BYTES]
        # The server asks for more only when it has handed over what it was given.
        self._is_complete = True

    def close(self) -> None:
        """Called by the server at the end, however that came; while it handles an error, the connection was lost."""
        self._settle(self._is_complete and sys.exc_info()[0] is None)


def segment_response(claim: Claim, segment: Segment, audio_format: str, rate: int | None) -> Response:
    """Return a segment as 200; it counts as delivered when its last byte was handed over."""
    try:
        body, mimetype = encode(segment.pcm16, segment.sample_rate, audio_format, rate)
    except BaseException:
        claim.settle(False)
        raise
    response = Response(Delivery(body, claim.settle), content_type=mimetype)
    response.headers["Content-Length"] = str(len(body))
    response.headers["X-Turn"] = claim.turn.id
    response.headers["X-Segment"] = str(segment.index)
    response.headers["X-Text"] = quote(segment.text)
    return response


def end_response(claim: Claim) -> Response:
    """Return the end of a turn as 204."""
    response = Response(Delivery(b"", claim.settle), status=204)
    response.headers["X-Turn"] = claim.turn.id
    if isinstance(claim.turn.end, TurnFailed):
        response.headers["X-Turn-Error"] = claim.turn.end.code
    return response


def stream_response(outlet: Outlet, turn: Turn, audio_format: str, rate: int | None) -> Response:
    """Return a turn's whole reply as one chunked body, while it is being made."""
    chunks = outlet.stream(turn, CHUNK_TIMEOUT_S)
    if audio_format == "wav":
        body, mimetype = _wav(chunks, rate), "audio/wav"
    elif audio_format == "pcm":
        pcm_rate = rate or STREAM_PCM_RATE_HZ
        body, mimetype = _joined(chunks, pcm_rate), f"audio/pcm;rate={pcm_rate}"
    else:
        body, mimetype = _files(chunks, audio_format, rate), COMPRESSED_TYPES[audio_format]
    response = Response(body, content_type=mimetype)
    response.headers["X-Turn"] = turn.id
    response.headers["X-Session"] = quote(turn.session_id)
    return response


def _wav(chunks: Iterator[tuple[Segment, bytes]], rate: int | None) -> Iterator[bytes]:
    """Yield a WAV of unknown length at `rate`, or at the rate of the first sentence."""
    first = next(chunks, None)
    if first is None:
        yield write_wav(b"", rate or STREAM_PCM_RATE_HZ)
        return
    play_rate = rate or first[0].sample_rate
    yield stream_header(play_rate)
    yield from _joined(itertools.chain([first], chunks), play_rate)


def _joined(chunks: Iterator[tuple[Segment, bytes]], rate: int) -> Iterator[bytes]:
    """Yield the audio of all segments at one rate."""
    for segment, of_segment in itertools.groupby(chunks, key=lambda pair: pair[0]):
        resampler = StreamResampler(segment.sample_rate, rate)
        for _, chunk in of_segment:
            if played := resampler.feed(chunk):
                yield played
        if rest := resampler.flush():
            yield rest


def _files(chunks: Iterator[tuple[Segment, bytes]], audio_format: str, rate: int | None) -> Iterator[bytes]:
    """Yield one compressed file for each segment; players take MP3 frames and chained Ogg streams as one."""
    for segment, of_segment in itertools.groupby(chunks, key=lambda pair: pair[0]):
        yield encode(b"".join(chunk for _, chunk in of_segment), segment.sample_rate, audio_format, rate)[0]
