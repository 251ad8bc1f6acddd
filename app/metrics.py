"""What Prometheus may ask of the hub."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """All figures of one service, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.turns = Counter("earshot_turns", "Turns by outcome", ["outcome"], registry=registry)
        self.stage_queue = Gauge(
            "earshot_stage_queue_depth", "Jobs that wait for a stage", ["stage"], registry=registry
        )
        self.stage_wait_s = _histogram("earshot_stage_wait_seconds", "How long jobs waited", ["stage"], registry)
        self.stage_run_s = _histogram("earshot_stage_run_seconds", "How long jobs ran", ["stage"], registry)
        self.stage_restarts = Counter("earshot_stage_restarts", "Workers that ended", ["stage"], registry=registry)
        self.first_speech_s = _histogram(
            "earshot_first_speech_seconds", "From the end of the utterance to the first spoken audio", [], registry
        )
        self.sessions = Gauge("earshot_sessions", "Sessions that are kept", registry=registry)
        self.devices_online = Gauge("earshot_devices_online", "Devices that were heard of lately", registry=registry)
        self.open_turns = Gauge("earshot_open_turns", "Turns that have not ended", registry=registry)


def _histogram(name: str, text: str, labels: list[str], registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, labels, buckets=_LATENCY_BUCKETS_S, registry=registry)
