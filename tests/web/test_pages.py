"""The pages for people."""

from __future__ import annotations

import pytest

from app import create_app
from app.config import Config, ServerConfig, TokenConfig

GUARDED = Config(server=ServerConfig(tokens={"kitchen": TokenConfig("secret-1")}))


@pytest.mark.parametrize("path", ["/", "/status", "/static/talk.js", "/static/player-worklet.js", "/static/page.css"])
def test_a_page_comes_without_a_token(path: str) -> None:
    """A browser can load a page and its files, which then asks for the token."""
    with create_app(GUARDED).test_client() as client, client.get(path) as answer:
        assert answer.status_code == 200
        if path.endswith(".js"):
            assert answer.mimetype == "text/javascript"


def test_figures_want_a_token() -> None:
    """What tells something about the service stays closed."""
    assert create_app(GUARDED).test_client().get("/metrics").status_code == 401
