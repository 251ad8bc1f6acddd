"""Which pages may open a live conversation."""

from __future__ import annotations

import pytest

from app.dialects.live_door import check_origin
from app.errors import Forbidden

LISTED = ("https://talk.example",)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("", "kitchen:5000"),
        ("http://kitchen:5000", "kitchen:5000"),
        ("http://Kitchen:5000", "kitchen:5000"),
        ("https://talk.example", "kitchen:5000"),
    ],
)
def test_who_may_talk(origin: str, host: str) -> None:
    """Devices and scripts, which send no origin; this server's own pages; those of listed sites."""
    check_origin(origin, host, LISTED)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://kitchen", "kitchen:5000"),
        ("http://kitchen:5000.evil.example", "kitchen:5000"),
        ("https://talk.example.evil.example", "kitchen:5000"),
        ("null", "kitchen:5000"),
        ("null", ""),
        ("http://[", "kitchen:5000"),
    ],
)
def test_who_may_not(origin: str, host: str) -> None:
    """Pages of other sites, of none, and what is no origin at all."""
    with pytest.raises(Forbidden):
        check_origin(origin, host, LISTED)
