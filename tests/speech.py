"""Where the recordings of real people lie."""

import os
from pathlib import Path


def speech_dir() -> Path | None:
    """Return the folder of recordings, or None where there is none."""
    folder = Path(
        os.environ.get("EARSHOT_SPEECH_DIR") or Path(__file__).resolve().parents[1] / ".." / "shared" / "speech"
    )
    return folder if folder.is_dir() else None
