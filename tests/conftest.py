"""What all tests share: how often properties are tried, and loaded configurations."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import hypothesis
import pytest

from tests.configuration import Load, load_tree

# No deadline: how long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("unit", max_examples=30, deadline=None)
hypothesis.settings.load_profile("unit")


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a configuration from a tree or a text, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return partial(load_tree, tmp_path)
