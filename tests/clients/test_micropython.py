"""The MicroPython device against a real service, with files in place of microphone and speaker.

Each test runs under MicroPython where it is installed (MICROPYTHON names another one), and under Python everywhere.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "micropython"
BOARD = Path(__file__).resolve().parent / "board"
MICROPYTHON = os.environ.get("MICROPYTHON") or shutil.which("micropython")
HEAP = "96k"
"""Far less than any board has, and than a reply of some seconds."""
