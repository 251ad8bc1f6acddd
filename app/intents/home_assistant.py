"""The part of Home Assistant's sentence collection that Earshot takes, for any of its languages."""

from __future__ import annotations

from typing import Any

_DEVICES = {"name_only", "area_only", "area_domain", "domain_only", "domain_all", "name_area"}
_COVERS = {"area_device_class_cover", "device_class_cover", "area_device_class", "device_class"}
_TIMERS = {f"{name}{parts}" for name in ("", "name_") for parts in ("hours", "minutes", "seconds", "hours_minutes")} | {
    *("default", "name_only", "hours_only", "minutes_only", "seconds_only", "minutes_seconds", "name_minutes_seconds"),
    *("hours_seconds", "name_hours_seconds", "hours_minutes_seconds", "name_hours_minutes_seconds"),
}
_LIGHTS = {"name_brightness", "area_brightness", "brightness_only", "name_color", "area_color", "color_only"}

COMBINATIONS = {
    "HassGetCurrentTime": {"default"},
    "HassGetCurrentDate": {"default"},
    "HassGetWeather": {"default"},
    "HassNevermind": {"default"},
    "HassStartTimer": _TIMERS,
    "HassTimerStatus": _TIMERS,
    "HassCancelTimer": _TIMERS,
    "HassCancelAllTimers": {"default"},
    "HassTurnOn": _DEVICES | _COVERS,
    "HassTurnOff": _DEVICES | _COVERS,
    "HassLightSet": _LIGHTS,
    "HassSetPosition": {"name_only"},
    "HassFanSetSpeed": {"name_only"},
    "HassGetState": {"name_state"},
    "HassClimateGetTemperature": {"default", "area_only"},
    "HassClimateSetTemperature": {"default", "area_only"},
    "HassMediaPause": {"default", "name_only"},
    "HassMediaUnpause": {"default", "name_only"},
    "HassMediaNext": {"default"},
    "HassMediaPrevious": {"default"},
    "HassMediaPlayerMute": {"default"},
    "HassMediaPlayerUnmute": {"default"},
    "HassSetVolume": {"default"},
    "HassSetVolumeRelative": {"default"},
    "HassShoppingListAddItem": {"item_only"},
    "HassShoppingListCompleteItem": {"item_only"},
}
"""Intents taken, each with the combinations of slots that fit a home known by names and areas only."""

_BARE_NAMES = {"[<the>] {name}", "{name}"}
"""Sentences that would take a mere mention of a device for a command."""

_DOMAINS = {
    "light": ("light", "lights", "lamp", "lamps", "chandelier", "lantern"),
    "fan": ("fan", "ventilator"),
    "cover": ("door", "garage", "gate", "blind", "blinds", "curtain", "curtains", "shutter", "shutters", "window"),
    "media_player": ("tv", "television", "radio", "speaker", "speakers", "stereo"),
    "climate": ("heater", "heating", "thermostat", "radiator"),
    "lock": ("lock", "door"),
}


def select_intents(collection: dict[str, Any], skipped: frozenset[str]) -> dict[str, Any]:
    """Return the chosen intents of Home Assistant's collection without those `skipped`.

    A sentence that wants to know the room of the device that hears it is taken without: a webhook may add the room.
    """
    chosen = {}
    for name, combinations in COMBINATIONS.items():
        blocks = [] if name in skipped else collection["intents"].get(name, {}).get("data", [])
        data = [_prepare(block) for block in blocks if block["metadata"]["slot_combination"] in combinations]
        if data:
            chosen[name] = {"data": data}
    return chosen


def domains_of(name: str) -> tuple[str, ...]:
    """Guess what kind of device bears a name, from its last word; "switch" when that says nothing."""
    last = name.lower().split()[-1]
    return tuple(domain for domain, words in _DOMAINS.items() if last in words) or ("switch",)


def _prepare(block: dict[str, Any]) -> dict[str, Any]:
    context = {key: value for key, value in block.get("requires_context", {}).items() if key != "area"}
    sentences = [sentence for sentence in block["sentences"] if sentence not in _BARE_NAMES]
    return {**block, "requires_context": context, "sentences": sentences}
