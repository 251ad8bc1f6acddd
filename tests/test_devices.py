"""The devices that say they are alive."""

from __future__ import annotations

from app.devices import MAX_DEVICES, MAX_DEVICES_OF_CALLER, ONLINE_S, Devices, Heartbeat


class Clock:
    """A clock that a test moves."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def names(devices: Devices, caller: str | None = None) -> list[str]:
    return [device.beat.instance_id for device, _ in devices.of(caller)]


def test_the_last_heartbeat_counts() -> None:
    """A device stands once in the list, as it last described itself, behind those that were heard of later."""
    clock = Clock()
    devices = Devices(clock)
    devices.see("me", "desk", Heartbeat("pi", state="listening"))
    clock.now_s += 5
    devices.see("me", "shelf", Heartbeat("esp"))
    clock.now_s += 5
    devices.see("me", "desk", Heartbeat("pi", state="speaking"))
    clock.now_s += 1
    assert [(device.beat.instance_id, silent_s) for device, silent_s in devices.of(None)] == [("pi", 1.0), ("esp", 6.0)]
    assert devices.of(None)[0][0].beat.state == "speaking"


def test_a_silent_device_is_offline_and_stays_listed() -> None:
    """Only devices that were heard of lately are counted."""
    clock = Clock()
    devices = Devices(clock)
    devices.see("me", "desk", Heartbeat("pi"))
    clock.now_s += ONLINE_S
    assert devices.n_online() == 1
    clock.now_s += 1
    assert devices.n_online() == 0
    assert names(devices) == ["pi"]


def test_callers_are_kept_apart() -> None:
    """Two callers may use the same id; each sees its own."""
    devices = Devices()
    devices.see("kitchen", "kitchen", Heartbeat("pi", state="listening"))
    devices.see("hall", "hall", Heartbeat("pi", state="speaking"))
    ((of_kitchen, _),) = devices.of("kitchen")
    assert of_kitchen.beat.state == "listening"
    assert len(devices.of(None)) == 2
    assert devices.of("nobody") == []


def test_a_sign_of_life_keeps_what_is_known() -> None:
    """A device that says nothing more of itself is listed; one that did before stays described."""
    clock = Clock()
    devices = Devices(clock)
    devices.see("me", "desk", Heartbeat("pi", state="listening"))
    clock.now_s += 60
    devices.touch("me", "desk", "pi")
    devices.touch("me", "shelf", "shelf")
    assert [(device.beat.state, device.session, silent_s) for device, silent_s in devices.of(None)] == [
        (None, "shelf", 0.0),
        ("listening", "desk", 0.0),
    ]


def test_the_list_is_bounded() -> None:
    """The device that was silent longest makes room, and one caller cannot push out those of others."""
    devices = Devices()
    devices.see("quiet", "quiet", Heartbeat("pi"))
    for number in range(MAX_DEVICES_OF_CALLER + 1):
        devices.see("loud", "loud", Heartbeat(f"pi-{number}"))
    assert len(names(devices, "loud")) == MAX_DEVICES_OF_CALLER
    assert "pi-0" not in names(devices)
    assert names(devices, "quiet") == ["pi"]
    for number in range(MAX_DEVICES):
        devices.see(f"caller-{number}", "s", Heartbeat("pi"))
    assert len(devices.of(None)) == MAX_DEVICES
    assert devices.of("quiet") == []
