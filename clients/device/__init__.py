"""A device that listens in a room: wake word, capture that never blocks, spoken answers, recovery."""

VERSION = "0.1.0"
