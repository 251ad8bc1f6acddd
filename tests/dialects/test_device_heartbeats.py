"""The service understands what our own device says of itself."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from app.dialects.heartbeats import parse_heartbeat
from clients.device import VERSION
from clients.device.heartbeat import Condition, WakeCounts, heartbeat_body
from clients.device.settings import Settings

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


def test_a_heartbeat_of_the_device_is_understood_whole() -> None:
    """Every figure that the list of devices shows arrives."""
    settings = Settings()
    counts = WakeCounts()
    name = settings.wake.models[0].name
    counts.add(name, NOW)
    condition = Condition(
        state="listening", level_dbfs=-41.5, n_overflows=3, n_restarts=1, is_muted=False, n_kept=2, uptime_s=61.2
    )
    beat = parse_heartbeat(json.loads(json.dumps(heartbeat_body(settings, counts, condition, NOW))))
    assert beat.instance_id == settings.instance
    assert (beat.state, beat.level_dbfs, beat.overflows, beat.uptime_s) == ("listening", -41.5, 3, 61)
    assert beat.client_version == VERSION
    assert beat.wake_counts[name] == 1
