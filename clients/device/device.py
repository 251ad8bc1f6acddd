"""The device: one thread that listens, one that keeps the streams open, and workers for everything that may wait."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from clients.device.courier import Courier, webhook_body
from clients.device.ear import Ear
from clients.device.endpoint import make_vad
from clients.device.health import StreamHealth
from clients.device.heartbeat import Condition, Heartbeat, WakeCounts, heartbeat_body
from clients.device.inbox import Inbox
from clients.device.level import dbfs
from clients.device.machine import Machine
from clients.device.player import Player
from clients.device.replies import Replies
from clients.device.settings import Settings
from clients.device.steps import (
    Action,
    BeSilent,
    CallWebhook,
    Event,
    Finish,
    PlayTone,
    Record,
    Send,
    StreamOpened,
    Tell,
    Tick,
    WakeHeard,
)
from clients.device.supervisor import OpenStream
from clients.device.uplink import Uplink
from clients.device.wake import WakeEngine, load_engines
from clients.device.windows import SAMPLE_RATE, Windows

log = logging.getLogger("earshot.device")

ALIVE_S = 30.0
"""A listener that has not been heard of for so long hangs."""
TELL_FAULTS_S = 60.0
MAX_CHUNKS = 125
"""Sound that may wait for the listener: ten seconds."""
TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The settings are others from now on."""

    settings: Settings
    engines: list[WakeEngine]
    "Loaded already, so that listening does not wait for it."
    guards: list[WakeEngine]


@dataclass(slots=True)
class Measured:
    """Moments that a bench looks at, on the monotonic clock."""

    woken_s: float = 0.0
    "The chunk with the wake word was taken."
    recording_s: float = 0.0
    finished_s: float = 0.0
    "The chunk with the end of the utterance was taken."
    states: list[str] = field(default_factory=list)
    "Only kept where somebody looks: `keeps_states`."
    keeps_states: bool = False


class Device:
    """Everything but the streams, which hand their sound to `hear` and ask for it with `fill`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.measured = Measured()
        self.inbox = Inbox(MAX_CHUNKS)
        self.health = StreamHealth(settings.microphone)
        self._engines = load_engines(wanted_models(settings))
        self._guards = load_engines(wanted_models(settings)) if settings.wake.echo_guard_s else []
        self._wanted = self._engines, self._guards
        "What the listener has, or will have when it comes to the newest change."
        self.ear = Ear(settings, self._engines, self._guards)
        self.machine = Machine(settings)
        self.player = Player(settings.speaker, SAMPLE_RATE, self.post)
        self.replies = Replies(settings, self.player, self.post, log.warning)
        self.uplink = Uplink(settings, self.post, self.replies.forget)
        self.courier = Courier(settings.webhooks, log.warning)
        self.counts = WakeCounts()
        self.heartbeat = Heartbeat(settings, self.heartbeat_body, log.warning)
        self._workers: tuple[Any, ...] = (self.uplink, self.replies, self.courier, self.heartbeat)
        self._windows: Windows | None = None
        self._format = (0, 0)
        self._state = ""
        self._n_driver_losses = 0
        self.n_restarts: Callable[[], int] = lambda: 0
        self._began_s = time.monotonic()
        self._ticked_s = time.monotonic()
        self._told_fault_s = -TELL_FAULTS_S
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        for worker in self._workers:
            worker.start()
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._is_stopping.set()
        self._thread.join(5)
        for worker in self._workers:
            worker.stop()
        for engine in (*self._engines, *self._guards):
            engine.close()

    # ---- from other threads ------------------------------------------------------------------------------------------

    def post(self, event: Event | SettingsChanged) -> None:
        """Let something be known; never waits."""
        self.inbox.put_event(event)

    def hear(self, chunk: bytes, has_gap: bool = False) -> None:
        """Take sound from the audio thread; never waits."""
        if has_gap:
            self._n_driver_losses += 1
        self.inbox.put_chunk(chunk)

    def fill(self, n_frames: int, sample_rate: int) -> bytes:
        """Give sound to the audio thread; never waits."""
        return self.player.fill(n_frames) if sample_rate == self.player.sample_rate else bytes(2 * n_frames)

    def microphone_opened(self, stream: OpenStream, now_s: float) -> None:
        """A microphone is there, and its sound comes next."""
        # What still waits was heard by the microphone before, in its own form.
        self.inbox.forget_chunks()
        self._format = (stream.sample_rate, stream.channels)
        self.health.opened(now_s)
        self.post(StreamOpened())

    def change(self, settings: Settings) -> None:
        """Take other settings, on the running detector too; raises SettingsError and keeps the old ones."""
        make_vad(settings.recording.vad)
        engines, guards = self._wanted
        if wanted_models(settings) != wanted_models(self.settings) or bool(guards) != bool(settings.wake.echo_guard_s):
            engines = load_engines(wanted_models(settings))
            guards = load_engines(wanted_models(settings)) if settings.wake.echo_guard_s else []
        self.settings = settings
        self._wanted = engines, guards
        self.post(SettingsChanged(settings, engines, guards))
        for worker in (self.uplink, self.replies, self.heartbeat):
            worker.configure(settings)
        self.courier.configure(settings.webhooks)
        self.player.configure(settings.speaker)
        self.health.settings = settings.microphone

    def heartbeat_body(self, now: datetime) -> dict[str, Any]:
        """Return a sign of life."""
        condition = Condition(
            state=self.machine.state,
            level_dbfs=round(dbfs(self.ear.rms), 1),
            n_overflows=self.inbox.n_lost + self._n_driver_losses,
            n_restarts=self.n_restarts(),
            is_muted=self.health.is_muted,
            n_kept=self.uplink.n_kept,
            uptime_s=time.monotonic() - self._began_s,
        )
        return heartbeat_body(self.settings, self.counts, condition, now)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is going on and nothing waits."""
        return not self.inbox.n_waiting and self.machine.state == "listening" and not self.uplink.n_kept

    def is_alive(self, now_s: float) -> bool:
        """Whether the listener does its work."""
        return now_s - self._ticked_s < ALIVE_S

    # ---- the listener's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            self.inbox.wait(TICK_S)
            self.try_to_listen()

    def try_to_listen(self) -> None:
        """Work off what has come; a fault of ours must not make the device deaf."""
        try:
            self.listen()
        except Exception:
            if time.monotonic() - self._told_fault_s >= TELL_FAULTS_S:
                # Not for every window: the log may be on a memory card.
                self._told_fault_s = time.monotonic()
                log.exception("a fault of the listener; it goes on")

    def listen(self) -> None:
        """Work off what has come."""
        self._take_events()
        while (taken := self.inbox.take_chunk()) is not None:
            self._hear_own_voice()
            chunk, has_gap = taken
            self.health.heard(chunk, time.monotonic())
            if has_gap:
                self.ear.break_off()
            if self._windows is None:
                continue
            for window in self._windows.feed(chunk):
                # Its own tones are no speech either.
                for event in self.ear.feed(window, self.machine.is_playing or self.player.has_tones):
                    self._handle(event)
            self._take_events()
            # Also when there is always more to hear than there is time for.
            self._tick()
        self._tick()

    def _tick(self) -> None:
        now_s = time.monotonic()
        if now_s - self._ticked_s >= TICK_S:
            self._ticked_s = now_s
            self._handle(Tick())

    def _take_events(self) -> None:
        while (event := self.inbox.take_event()) is not None:
            if isinstance(event, SettingsChanged):
                self._reconfigure(event)
            else:
                self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, WakeHeard):
            self.measured.woken_s = time.monotonic()
            self.counts.add(event.detection.model.name, datetime.now(timezone.utc))
        if isinstance(event, StreamOpened):
            self._windows = Windows(*self._format)
            self.ear.break_off()
        for action in self.machine.handle(event, time.monotonic()):
            self._act(action)
        if self.machine.state != self._state:
            self._state = self.machine.state
            log.info(self._state)
            self.heartbeat.news()
            if self.measured.keeps_states:
                self.measured.states.append(self._state)

    def _act(self, action: Action) -> None:
        match action:
            case Record(after_wake):
                self.ear.begin(after_wake)
                self.measured.recording_s = time.monotonic()
            case Send():
                assert self.ear.utterance is not None
                self.uplink.send(self.ear.utterance)
            case Finish():
                self.measured.finished_s = time.monotonic()
                self.ear.end()
            case BeSilent(turn):
                self.replies.drop(turn)
                self.uplink.interrupt()
            case PlayTone(name):
                self.player.tone(name)
            case CallWebhook(detection):
                self.courier.post(detection.model.webhook_url, webhook_body(detection, datetime.now(timezone.utc)))
            case Tell(line):
                log.info(line)

    def _hear_own_voice(self) -> None:
        """Let the guards hear what the speaker has played before the microphone is heard."""
        if not self._guards:
            return
        while self.player.own_voice:
            self.ear.hear_own_voice(self.player.own_voice.popleft(), self.player.sample_rate)
        if not self.machine.is_playing:
            self.ear.own_voice_ended()

    def _reconfigure(self, change: SettingsChanged) -> None:
        old = [engine for engine in (*self._engines, *self._guards) if engine not in (*change.engines, *change.guards)]
        self._engines, self._guards = change.engines, change.guards
        self.machine.settings = change.settings
        self.ear.configure(change.settings, change.engines, change.guards)
        for engine in old:
            engine.close()
        log.info("the settings have changed")


def wanted_models(settings: Settings) -> tuple[Any, ...]:
    """Return the wake words that are listened for."""
    return settings.wake.models if settings.mode == "wake" else ()
