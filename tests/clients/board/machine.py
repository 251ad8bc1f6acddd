"""In place of the hardware, for what can be tried without it."""


class I2S:
    """A bus that nothing is connected to."""


class Pin:
    """A pin that nothing is connected to."""
