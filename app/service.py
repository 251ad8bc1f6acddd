"""A whole service out of a configuration: stages, pipeline, sessions."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from flask import current_app

import app.analysis.backend
import app.llm.backend
import app.stt.backend
import app.tts.backend
from app.audio.silero import check_installed
from app.audio.vad import load_detector
from app.backends import backend_config, check_voices
from app.config import STAGES, Config
from app.conversation.ears import Ears
from app.conversation.sessions import Sessions
from app.devices import Devices
from app.fallback import BackendChoice, Limits
from app.metrics import Metrics
from app.pipeline.pipeline import Pipeline, StageSpec
from app.pipeline.pool_settings import PoolSettings
from app.pipeline.wiring import STEPS

log = logging.getLogger(__name__)

REGISTRIES = {
    "stt": app.stt.backend.BACKENDS,
    "llm": app.llm.backend.BACKENDS,
    "tts": app.tts.backend.BACKENDS,
    "analysis": app.analysis.backend.BACKENDS,
}
"""The backends of each stage by engine name."""


@dataclass(slots=True)
class Service:
    """Everything behind the HTTP routes."""

    config: Config
    metrics: Metrics
    pipeline: Pipeline
    sessions: Sessions
    ears: Ears
    devices: Devices
    waiting_places: threading.Semaphore
    "Requests that may wait at once; the other threads are kept for requests that bring work."

    def start(self) -> None:
        """Start the stage workers; returns at once, `/ready` tells when they are."""
        for notice in self.config.notices:
            log.warning("%s", notice)
        self.pipeline.start()

    def stop(self) -> None:
        """Listen no more, and stop the stage workers."""
        self.ears.stop()
        self.pipeline.stop()


def build_service(config: Config) -> Service:
    """Put a service together without starting anything; raises ConfigError when a backend's settings are wrong."""
    metrics = Metrics()
    pipeline = Pipeline(build_stages(config), metrics)
    check_voices(REGISTRIES["tts"], config)
    if config.listening.vad == "silero":
        check_installed()
    sessions = Sessions(pipeline, metrics, config)
    ears = Ears(lambda: load_detector(config.listening.vad))
    devices = Devices()
    metrics.devices_online.set_function(devices.n_online)
    threads = config.server.threads
    places = threading.Semaphore(max(1, threads - max(4, threads // 8)))
    return Service(config, metrics, pipeline, sessions, ears, devices, places)


def build_stages(config: Config) -> dict[str, StageSpec]:
    """Return the stages that the configuration asks for, by name; raises ConfigError."""
    classes = {step.stage.name: step.stage for step in STEPS}
    specs = {}
    for name in STAGES:
        section = config.stage(name)
        if not section.backends:
            continue
        choices = tuple(BackendChoice(b, *backend_config(REGISTRIES[name], config, name, b)) for b in section.backends)
        limits = Limits(
            section.first_item_timeout_s,
            section.item_timeout_s,
            section.total_timeout_s,
            section.retries,
            section.retry_wait_s,
        )
        cutting = {"first_min_chars": config.llm.first_min_chars, "max_chars": config.llm.max_chars}
        stage = classes[name](choices, limits, **(cutting if name == "llm" else {}))
        specs[name] = StageSpec(stage, PoolSettings(section.workers, section.concurrency, section.max_queue))
    return specs


def current_service() -> Service:
    """Return the service of the Flask app that handles this request."""
    service: Service = current_app.extensions["earshot"]
    return service
