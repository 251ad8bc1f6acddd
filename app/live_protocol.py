"""uvicorn's WebSocket protocol with a short way for sound."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

ON_SOUND = "earshot.on_sound"
"""Key of the scope: what the app wants called with each binary frame, instead of receiving it as a message."""


class LiveProtocol(WebSocketsSansIOProtocol):
    """Calls the app with a whole binary frame at once.

    A microphone sends fifty a second.  Through `receive()` each costs a queue, a change of tasks, and two calls of the
    system to pause and resume reading: several times as much as everything else that is done with it on the loop.
    """

    def handle_bytes(self, event: Frame) -> None:
        take = self.scope.get(ON_SOUND)
        # Messages that came before it are still to be received while the queue has any.
        if take is not None and event.fin and self.queue.empty():
            take(bytes(event.data))  # type: ignore[operator]
        else:
            super().handle_bytes(event)
