"""How loud rooms are when nobody speaks, followed window by window for many microphones at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.audio.pcm import SILENCE_DBFS
from app.audio.windows import WINDOW_MS

MARGIN_DB = 3.0
"""What is so much above the floor may be more than the room.

The windows of steady noise vary by 1 dB at most; those of noise that is stronger in the bass by 3, once in a hundred.
"""

LOWEST_DBFS = SILENCE_DBFS - MARGIN_DB
"""No floor is lower, and every floor begins here: until a room is known, all that is not silent stands out."""

RISE_DB = 5.0 * WINDOW_MS / 1000
"""How much a floor rises within a window: as slowly as a fan starts, and too slowly for a syllable to hide in."""

FALL = 0.3
"""The part of the way that a floor falls within a window: pauses pull it down, one window that is lucky does not."""


def stand_out(floors_dbfs: NDArray[np.float32], levels_dbfs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which windows are louder than their rooms."""
    return levels_dbfs > floors_dbfs + np.float32(MARGIN_DB)


def follow(
    floors_dbfs: NDArray[np.float32], levels_dbfs: NDArray[np.float32], may_rise: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the floors after one more window of each microphone; speech may not raise them."""
    distance_db = np.maximum(levels_dbfs, np.float32(LOWEST_DBFS)) - floors_dbfs
    rise_db = np.where(may_rise, np.minimum(distance_db, np.float32(RISE_DB)), np.float32(0))
    return floors_dbfs + np.where(distance_db < 0, np.float32(FALL) * distance_db, rise_db)
