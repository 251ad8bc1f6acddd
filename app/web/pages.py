"""Health, readiness, metrics and the pages for people."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, g, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.errors import Forbidden
from app.service import current_service

blueprint = Blueprint("pages", __name__)


@blueprint.get("/health")
def health() -> Response:
    """Say that the hub is alive, and how its stages are."""
    service = current_service()
    return jsonify(
        {
            "status": "ok",
            "ready": service.sessions.is_ready,
            "open_turns": service.sessions.open_turns,
            "stages": service.pipeline.status(),
        }
    )


@blueprint.get("/ready")
def ready() -> Response:
    """Say 200 when every stage can work, else 503."""
    service = current_service()
    service.sessions.check_ready()
    return jsonify({"status": "ready"})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give Prometheus its figures."""
    if not g.caller.is_admin:
        raise Forbidden("metrics are for administrators; use a token with admin set")
    return Response(generate_latest(current_service().metrics.registry), content_type=CONTENT_TYPE_LATEST)


@blueprint.get("/")
def index() -> Response:
    """Give the page to talk on."""
    return current_app.send_static_file("index.html")


@blueprint.get("/status")
def status_page() -> Response:
    """Give the page that shows how the service is, and what a device can call."""
    return current_app.send_static_file("status.html")
