"""The WebSocket of live conversations, `/ws`: a task reads a client, another writes to it; see docs/websocket.md."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from app.conversation.events import SpeechRefused, TurnStarted
from app.conversation.microphone import Microphone
from app.conversation.player import LIVE_RATE_HZ, Player, TurnOver
from app.conversation.session import Session
from app.dialects.live_requests import (
    Request,
    check_frame,
    own_settings,
    read_microphone,
    read_request,
    read_text,
)
from app.dialects.live_script import LiveScript, Message
from app.errors import BadAudio, RateLimited, TurnNotFound, VoiceError
from app.service import Service

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_FRAME_BYTES = 1_048_576
"""A longer frame closes the connection."""
MAX_MESSAGES_PER_S = 100
MAX_WAITING_ANSWERS = 100
LOOK_AFTER_S = 5.0
QUIET_S = 20.0
"""A client from which nothing came for so long is pinged."""
STUCK_S = 30.0
"""A client that takes nothing for so long has gone."""
CLOSE_SILENT, CLOSE_REPLACED = 4000, 4001


class Conversation:
    """One live connection, from its acceptance to its end.  Everything runs on the loop but `_wake_up`."""

    def __init__(
        self, service: Service, session: Session, send: Send, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._service = service
        self._session = session
        self._send = send
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._script = LiveScript(session.id)
        self._player = Player(session.outlet, session.lock, service.config.listening.send_ahead_s)
        self._cursor = session.log.last_number
        self._microphone: Microphone | None = None
        self._last_microphone: Microphone | None = None
        "The same, or one that is closed and perhaps not heard to its end."
        self._sample_rate = 0
        self._complained_of_sound = False
        self._answers: deque[Message] = deque()
        self._closing: tuple[int, Message] | None = None
        self._something = asyncio.Event()
        self._is_awake = False
        self._heard_at_s = self._busy_since_s = clock()
        self._is_sending = False
        self._second, self._n_messages = 0, 0

    # ---- its life ----------------------------------------------------------------------------------------------------

    async def hold(self, receive: Receive) -> None:
        """Talk until either side leaves."""
        stop_following = self._session.log.follow(self._wake_up)
        self._session.barge_in.take_seat(self._player, self._leave_to_another)
        tasks = [self._loop.create_task(work) for work in (self._read(receive), self._write(), self._look_after())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_following()
            if self._microphone is not None:
                self._microphone.abandon()
            self._session.barge_in.leave_seat(self._player)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception) and not isinstance(result, OSError):
                    log.error("the live connection of session %s broke", self._session.id, exc_info=result)

    def _hello(self) -> Message:
        return {
            "type": "session",
            "session_id": self._session.id,
            "sample_rate": LIVE_RATE_HZ,
            **self._session.preferences.choices.as_dict(),
            "settings": self._session.preferences.as_dict(),
            "listening": own_settings(self._service.config.listening),
        }

    def _leave_to_another(self) -> None:
        if self._microphone is not None:
            self._microphone.abandon()
        text = "a newer connection of this session took over"
        self._close(CLOSE_REPLACED, "replaced", text)

    def _close(self, status: int, code: str, text: str) -> None:
        self._closing = (status, {"type": "error", "code": code, "message": text})
        self._something.set()

    async def _look_after(self) -> None:
        """Notice a client that has gone without a word, and keep the session of one that is silent."""
        timeout_s = self._service.config.listening.liveness_timeout_s
        while True:
            await asyncio.sleep(min(LOOK_AFTER_S, timeout_s / 3))
            self._session.touch()
            now_s = self._clock()
            if self._is_sending and now_s - self._busy_since_s > STUCK_S:
                return
            if now_s - self._heard_at_s > timeout_s:
                self._close(CLOSE_SILENT, "silent-client", f"nothing came for {timeout_s:g} s")
            elif now_s - self._heard_at_s > min(QUIET_S, timeout_s / 3):
                self._answer({"type": "ping"})

    # ---- to the client -----------------------------------------------------------------------------------------------

    def _wake_up(self) -> None:
        """Let the writer look; called from any thread."""
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon_threadsafe(self._something.set)

    def _answer(self, message: Message) -> None:
        if len(self._answers) < MAX_WAITING_ANSWERS:
            self._answers.append(message)
            self._something.set()

    async def _write(self) -> None:
        await self._say(self._hello())
        while self._closing is None:
            self._something.clear()
            self._is_awake = False
            while self._answers:
                if self._answers[0]["type"] == "pong":
                    await self._tell_events()
                await self._say(self._answers.popleft())
            await self._tell_events()
            wait_s = await self._play()
            timer = None if wait_s is None else self._loop.call_later(wait_s, self._something.set)
            await self._something.wait()
            if timer is not None:
                timer.cancel()
        status, message = self._closing
        await self._say(message)
        await self._hand_over({"type": "websocket.close", "code": status})

    async def _tell_events(self) -> None:
        for event in self._session.log.read(self._cursor, 0):
            self._cursor = event.number
            if isinstance(event.fact, TurnStarted):
                self._follow_turn(event.turn_id)
            elif isinstance(event.fact, SpeechRefused):
                await self._say({"type": "error", "code": event.fact.code, "message": event.fact.message})
            for message in self._script.tell(event):
                await self._say(message)

    def _follow_turn(self, turn_id: str) -> None:
        """Tell of a turn whose reply is played here; the client of `POST /talk` hears its own."""
        try:
            if self._session.turn(turn_id).is_polled:
                self._script.begin(turn_id)
        except TurnNotFound:
            log.debug("turn %s was over before it was told of", turn_id)

    async def _play(self) -> float | None:
        """Send what is due; return after how many seconds more will be, None for not before something happens."""
        while True:
            # All that happens happens under this lock: what is taken here belongs behind what was told.
            with self._session.lock:
                if self._is_awake or self._something.is_set():
                    return None
                now_s = self._clock()
                step = self._player.take(now_s)
            if step is None:
                return self._player.wait_s(now_s)
            for part in self._script.end(step) if isinstance(step, TurnOver) else self._script.play(step):
                await self._say(part)

    async def _say(self, part: Message | bytes) -> None:
        if isinstance(part, bytes):
            await self._hand_over({"type": "websocket.send", "bytes": part})
        else:
            await self._hand_over({"type": "websocket.send", "text": json.dumps(part)})

    async def _hand_over(self, frame: dict[str, Any]) -> None:
        self._is_sending, self._busy_since_s = True, self._clock()
        await self._send(frame)
        self._is_sending = False

    # ---- from the client ---------------------------------------------------------------------------------------------

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            if (pcm16 := message.get("bytes")) is not None:
                self.take_sound(pcm16)
                continue
            self._heard_at_s = self._clock()
            if self._closing is not None:
                continue
            try:
                if self._is_patient():
                    self._do(read_request(message["text"]))
            except VoiceError as error:
                self._complain(error)

    def take_sound(self, pcm16: bytes) -> None:
        """Take a frame of the microphone."""
        self._heard_at_s = self._clock()
        if self._closing is not None:
            return
        try:
            self._hear(pcm16)
        except VoiceError as error:
            self._complain(error)

    def _complain(self, error: VoiceError) -> None:
        self._answer({"type": "error", "code": error.code, "message": error.message})

    def _is_patient(self) -> bool:
        """Count a message; false when too many came in this second.  Raises RateLimited at the first of those."""
        second = int(self._heard_at_s)
        if second != self._second:
            self._second, self._n_messages = second, 0
        self._n_messages += 1
        if self._n_messages == MAX_MESSAGES_PER_S + 1:
            raise RateLimited(f"more than {MAX_MESSAGES_PER_S} messages in a second; the rest of it is ignored")
        return self._n_messages <= MAX_MESSAGES_PER_S

    def _hear(self, pcm16: bytes) -> None:
        if self._microphone is not None:
            check_frame(pcm16, self._sample_rate)
            self._microphone.feed(pcm16)
        elif not self._complained_of_sound:
            self._complained_of_sound = True
            raise BadAudio("sound came without start_listening", code="not-listening")

    def _do(self, request: Request) -> None:
        match request.type:
            case "user_message":
                self._take_text(read_text(request.data))
            case "start_listening":
                self._start_listening(request)
            case "stop_listening":
                self._stop_listening()
            case "model_settings":
                with self._session.lock:
                    chosen = self._session.preferences = self._session.preferences.change(request.data)
                self._answer({"type": "settings", **chosen.as_dict()})
            case "interrupt":
                self._session.interrupt("interrupted")
            case "ping":
                self._answer_ping()

    def _answer_ping(self) -> None:
        """Answer behind all that comes of the sound before."""
        pong: Message = {"type": "pong"}
        if self._last_microphone is None:
            self._answer(pong)
        else:
            self._last_microphone.when_heard(lambda: self._loop.call_soon_threadsafe(self._answer, pong))

    def _take_text(self, text: str) -> None:
        self._service.sessions.admit()
        self._session.interrupt("new-message")
        self._session.say_text(text)

    def _start_listening(self, request: Request) -> None:
        settings = read_microphone(request.data, self._service.config.listening)
        self._stop_listening()
        self._sample_rate = settings.sample_rate
        self._microphone = Microphone(
            self._session,
            self._service.sessions.admit,
            settings.rules,
            sample_rate=settings.sample_rate,
            mode=settings.mode,
        )
        self._last_microphone = self._microphone
        self._service.ears.add(self._microphone)

    def _stop_listening(self) -> None:
        self._complained_of_sound = False
        if self._microphone is not None:
            self._microphone.finish()
            self._microphone = None
