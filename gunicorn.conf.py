"""How gunicorn serves Earshot: one process of our worker class, set up by the configuration."""

import logging
import sys

from app.config import load_config
from app.errors import ConfigError
from app.service import build_stages

try:
    _config = load_config()
    build_stages(_config)
except ConfigError as error:
    print(f"The configuration cannot be used: {error.message}", file=sys.stderr)
    sys.exit(2)

_server = _config.server
bind = f"[{_server.host}]:{_server.port}" if ":" in _server.host else f"{_server.host}:{_server.port}"
worker_class = "app.server.EarshotWorker"
workers = 1
threads = _server.threads
# uvicorn tells the arbiter that its loop lives; a hub whose loop hangs this long is replaced.
timeout = 60
graceful_timeout = int(_server.drain_timeout_s) + 10
keepalive = 75
loglevel = _server.log_level
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": _server.log_level.upper(), "handlers": ["console"]},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "formatters": {"line": {"format": "%(asctime)s %(processName)s %(levelname)s %(message)s"}},
    "loggers": {
        "gunicorn.error": {"level": _server.log_level.upper(), "handlers": ["console"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": False},
    },
}
if _server.tls_cert:
    certfile, keyfile = _server.tls_cert, _server.tls_key


def on_starting(server):  # type: ignore[no-untyped-def]
    """Refuse what cannot work: turns and stages belong to one process."""
    if server.cfg.workers != 1 or server.cfg.preload_app:
        logging.getLogger("gunicorn.error").critical(
            "Earshot is one hub process: leave out --workers %d and --preload", server.cfg.workers
        )
        sys.exit(2)
