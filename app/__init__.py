"""Earshot: ears, a mind and a voice for thin devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.config import Config


def create_app(config: Config | None = None) -> Flask:
    """Return the Flask app of a service; `app.extensions["earshot"].start()` starts its stages.

    config: what `app.config.load_config` gives; loaded from its usual places when not given.  Raises ConfigError.
    """
    # Imported here because a stage worker imports this package too, and needs no web framework.
    from flask import Flask

    from app.config import load_config
    from app.dialects import events, heartbeats, http
    from app.service import build_service
    from app.web import access, errors, pages

    service = build_service(load_config() if config is None else config)
    flask_app = Flask(__name__, static_folder="web/static")
    flask_app.extensions["earshot"] = service
    flask_app.config["MAX_CONTENT_LENGTH"] = int(service.config.server.max_body_mb * 1_000_000)
    limiter = access.RateLimiter(service.config.server.requests_per_minute)
    flask_app.extensions["earshot.limiter"] = limiter
    access.install(flask_app, service.config.server, limiter)
    errors.install(flask_app)
    for blueprint in (http.blueprint, events.blueprint, heartbeats.blueprint, pages.blueprint):
        flask_app.register_blueprint(blueprint)
    return flask_app
