"""Whether words are the echo of what was just played."""

from __future__ import annotations

from collections.abc import Sequence


def is_echo(heard: str, spoken: Sequence[str]) -> bool:
    return heard in spoken
