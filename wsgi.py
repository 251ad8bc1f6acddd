"""The Flask app with its stages running: `gunicorn wsgi:app`, or `flask --app wsgi run` for the HTTP dialect alone."""

import atexit
import logging

from app import create_app
from app.config import load_config

config = load_config()
logging.basicConfig(
    level=config.server.log_level.upper(), format="%(asctime)s %(processName)s %(levelname)s %(message)s"
)
app = create_app(config)
app.extensions["earshot"].start()
atexit.register(app.extensions["earshot"].stop)
