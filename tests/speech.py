"""Where the real recordings are."""

from __future__ import annotations

import os
from pathlib import Path


def speech_dir() -> Path | None:
    """Return the folder of recordings: EARSHOT_SPEECH_DIR, else beside the repository; None when there is none."""
    named = os.environ.get("EARSHOT_SPEECH_DIR")
    folder = Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared" / "speech"
    return folder if folder.is_dir() else None
