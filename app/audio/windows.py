"""The fixed span that one decision of voice activity detection looks at."""

from __future__ import annotations

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ

WINDOW_SAMPLES = 512
"""What one decision looks at, at `SPEECH_RATE_HZ`: the only length that Silero knows at 16 kHz."""

WINDOW_MS = 1000 * WINDOW_SAMPLES / SPEECH_RATE_HZ

WINDOW_BYTES = BYTES_PER_SAMPLE * WINDOW_SAMPLES
