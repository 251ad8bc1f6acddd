"""Every error Earshot raises on purpose.

VoiceError(message)                    .code: stable kebab-case   .status: HTTP status when it reaches a request
 +- ConfigError                        at start only; exit status 2
 +- RequestError                       the caller can mend it
 |   +- BadRequest 400   Unauthorized 401   Forbidden 403   NotFound 404
 |   +- SessionNotFound 404   TurnNotFound 404   SegmentNotFound 404
 |   |   +- BadSettings 400              a session chose what it may not
 |   +- BadAudio 400     AudioTooLarge 413  UnsupportedAudio 415                  RateLimited 429
 +- StageUnavailable 503               starting, overloaded or stopping; .retry_after_s says when to come back
 +- BackendError                       .retryable: whether the same call may succeed if it is made again
     +- BackendUnavailable             cannot be reached, crashed, 5xx, not installed      retryable
     |   +- BackendTimeout             did not answer in time                              retryable
     |   +- BackendBusy                rate limited; .retry_after_s when the vendor says   retryable
     +- BackendRejected                it refused this very input                          never
         +- BackendUnauthorized        key missing or wrong                                never
         +- BackendQuotaExhausted      no credits left                                     never
"""


class VoiceError(Exception):
    """What happened, with which value, and what to do."""

    code = "internal"
    status = 500
    retry_after_s: float | None = None

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class ConfigError(VoiceError):
    """The configuration cannot be used."""

    code = "bad-config"


class RequestError(VoiceError):
    """The request cannot be answered as it is."""

    code = "bad-request"
    status = 400


class BadRequest(RequestError):
    """A parameter has a value that is not allowed."""


class BadSettings(BadRequest):
    """A setting of a session or a microphone is not known or has a value that is not allowed."""

    code = "bad-settings"


class Unauthorized(RequestError):
    """No token, or one that is not known."""

    code = "unauthorized"
    status = 401


class Forbidden(RequestError):
    """The token is known but may not do this."""

    code = "forbidden"
    status = 403


class NotFound(RequestError):
    """There is nothing at this address."""

    code = "not-found"
    status = 404


class SessionNotFound(RequestError):
    """No session of that name is alive."""

    code = "unknown-session"
    status = 404


class TurnNotFound(RequestError):
    """No turn of that id is kept."""

    code = "unknown-turn"
    status = 404


class SegmentNotFound(RequestError):
    """The turn has no segment of that number."""

    code = "unknown-segment"
    status = 404


class BadAudio(RequestError):
    """The body claims to be sound but cannot be decoded."""

    code = "bad-audio"


class AudioTooLarge(RequestError):
    """The body or the utterance is over the limit."""

    code = "audio-too-large"
    status = 413


class UnsupportedAudio(RequestError):
    """The body is of a type that is no sound we read."""

    code = "unsupported-audio"
    status = 415


class RateLimited(RequestError):
    """This device asks more often than it may."""

    code = "rate-limited"
    status = 429
    retry_after_s = 1.0


class StageUnavailable(VoiceError):
    """The service cannot take work now: starting, overloaded or stopping."""

    code = "overloaded"
    status = 503
    retry_after_s = 1.0


class BackendError(VoiceError):
    """A vendor or engine behind a stage did not do its work."""

    code = "backend-failed"
    retryable = False


class BackendUnavailable(BackendError):
    """The backend cannot be reached, crashed or is not installed."""

    code = "backend-unavailable"
    retryable = True


class BackendTimeout(BackendUnavailable):
    """The backend did not answer in time."""

    code = "backend-timeout"


class BackendBusy(BackendUnavailable):
    """The backend limits our rate."""

    code = "backend-busy"


class BackendRejected(BackendError):
    """The backend refused this very input."""

    code = "backend-rejected"


class BackendUnauthorized(BackendRejected):
    """The key is missing or wrong."""

    code = "backend-unauthorized"


class BackendQuotaExhausted(BackendRejected):
    """No credits are left; asking again only makes it worse."""

    code = "backend-quota"
