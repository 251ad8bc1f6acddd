"""PCM16: signed 16-bit little-endian mono, the only sound that travels inside."""

SPEECH_RATE_HZ = 16_000
"""The rate of every utterance: what speech recognisers and analysers are trained on."""

BYTES_PER_SAMPLE = 2


def duration_s(pcm16: bytes, sample_rate: int) -> float:
    """Return how long the audio plays, in seconds."""
    return len(pcm16) / (BYTES_PER_SAMPLE * sample_rate)
