"""The devices that say they are alive, as they last described themselves."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

ONLINE_S = 120.0
"""How long after its last heartbeat a device counts as there; devices send one every 30 s."""
MAX_DEVICES = 1_000
MAX_DEVICES_OF_CALLER = 200
"""One caller's made-up ids must not push out the devices of others."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a device says of itself; None is what it did not say."""

    instance_id: str
    "What the device calls itself, such as its host name."
    source: str = ""
    "What kind of client it is."
    state: str | None = None
    "What it does: listening, recording, waiting, speaking, recovering."
    wake_counts: dict[str, int] = field(default_factory=dict)
    "How often each of its wake models fired since it started."
    level_dbfs: float | None = None
    "The level of its microphone."
    overflows: int | None = None
    "How often sound was lost because it was not read in time."
    client_version: str | None = None
    "The version of its software."
    uptime_s: float | None = None
    "How long its software has been running, in seconds."


@dataclass(frozen=True, slots=True)
class Device:
    """A device and its last heartbeat."""

    caller: str
    "The name of its token, else its address."
    session: str
    "The session that it speaks in."
    beat: Heartbeat
    seen_s: float
    "When it last was heard of, on the clock of the registry."


class Devices:
    """The devices by caller and instance id, the one heard of last at the end.  May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._devices: OrderedDict[tuple[str, str], Device] = OrderedDict()

    def see(self, caller: str, session: str, beat: Heartbeat) -> None:
        """Keep what a device says of itself; forgets the device that was silent longest when there are too many."""
        with self._lock:
            self._keep(Device(caller, session, beat, self._clock()))

    def touch(self, caller: str, session: str, instance_id: str) -> None:
        """Note that a device is alive, which says nothing more of itself."""
        with self._lock:
            known = self._devices.get((caller, instance_id))
            if known is None:
                known = Device(caller, session, Heartbeat(instance_id), 0.0)
            self._keep(replace(known, session=session, seen_s=self._clock()))

    def of(self, caller: str | None) -> list[tuple[Device, float]]:
        """Return the devices of a caller, or of all with None, each with the seconds since it was heard of."""
        with self._lock:
            now_s = self._clock()
            found = [device for device in self._devices.values() if caller in (None, device.caller)]
        return [(device, now_s - device.seen_s) for device in reversed(found)]

    def n_online(self) -> int:
        """Return how many devices were heard of lately."""
        return sum(silent_s <= ONLINE_S for _, silent_s in self.of(None))

    def _keep(self, device: Device) -> None:
        key = device.caller, device.beat.instance_id
        if self._devices.pop(key, None) is None:
            self._make_room(device.caller)
        self._devices[key] = device

    def _make_room(self, caller: str) -> None:
        of_caller = [key for key in self._devices if key[0] == caller]
        if len(of_caller) >= MAX_DEVICES_OF_CALLER:
            del self._devices[of_caller[0]]
        elif len(self._devices) >= MAX_DEVICES:
            self._devices.popitem(last=False)
