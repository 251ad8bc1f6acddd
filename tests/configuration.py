"""Loads a configuration that a test writes down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.config import Config, load_config

Load = Callable[..., Config]


def load_tree(folder: Path, content: Mapping[str, Any] | str = "{}", **environ: str) -> Config:
    """Write a tree or a text to a file in the folder and load it, with these environment variables only."""
    path = folder / "settings.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_config(str(path), environ)
