"""The real recordings, where there are any."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest


def speech_dir() -> Path | None:
    """Return the folder of recordings: EARSHOT_SPEECH_DIR, else beside the repository; None when there is none."""
    named = os.environ.get("EARSHOT_SPEECH_DIR")
    folder = Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared" / "speech"
    return folder if folder.is_dir() else None


def list_recordings(*kinds: str) -> list[dict[str, str]]:
    """Return the rows of the manifest, of all kinds when none is named; empty when there are no recordings."""
    folder = speech_dir()
    if folder is None:
        return []
    with (folder / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        return [row for row in csv.DictReader(manifest, delimiter="\t") if not kinds or row["kind"] in kinds]


def every_recording(*kinds: str, quick_s: float) -> list[Any]:
    """Return the rows as parameters of a test; those longer than `quick_s` take the time of an engine."""
    return [
        pytest.param(row, id=row["file"], marks=[pytest.mark.engine] if float(row["seconds"]) > quick_s else [])
        for row in list_recordings(*kinds)
    ]


def read_recording(name: str) -> bytes:
    """Return the bytes of a recording's file; skip the test when there are no recordings."""
    folder = speech_dir()
    if folder is None:
        pytest.skip("no recordings here; set EARSHOT_SPEECH_DIR")
    return (folder / name).read_bytes()
