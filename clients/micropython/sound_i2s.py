"""The sound and the button of the board: an INMP441 microphone and a MAX98357A amplifier at two I2S buses."""

import micropython
import settings
from machine import I2S, Pin

RATE_HZ = 16000
MIC_BUFFER_BYTES = 65536
"""One second of 32-bit samples: what may be said while the connection is being opened."""
SPEAKER_BUFFER_BYTES = 16384
"""Half a second: what is still heard when the network hesitates."""
MAX_SAMPLES = 1600
"""Read at a time."""


@micropython.native
def take_upper_halves(wide: memoryview, narrow: memoryview, n_samples: int) -> None:
    """Write the upper 16 of each sample's 32 bits; both little-endian."""
    at = 0
    for n in range(n_samples):
        narrow[at] = wide[4 * n + 2]
        narrow[at + 1] = wide[4 * n + 3]
        at += 2


class Board:
    """Records and plays PCM16 mono at RATE_HZ.  All buffers are made once, so that memory does not fall to pieces."""

    def __init__(self) -> None:
        self._button = Pin(settings.BUTTON_PIN, Pin.IN, Pin.PULL_UP)
        self._bus: I2S = None
        self._wide = memoryview(bytearray(4 * MAX_SAMPLES))
        self._silence = bytes(1024)

    def is_pressed(self) -> bool:
        return not self._button.value()

    def start_recording(self) -> None:
        self._bus = I2S(
            0,
            sck=Pin(settings.MIC_CLOCK_PIN),
            ws=Pin(settings.MIC_SELECT_PIN),
            sd=Pin(settings.MIC_DATA_PIN),
            mode=I2S.RX,
            bits=32,
            format=I2S.MONO,
            rate=RATE_HZ,
            ibuf=MIC_BUFFER_BYTES,
        )

    def record_into(self, buffer: memoryview) -> int:
        """Fill the buffer, which holds at most MAX_SAMPLES, and return the number of bytes."""
        wide = self._wide[: 2 * len(buffer)]
        n_samples = self._bus.readinto(wide) // 4
        # The microphone gives 24 bits in the upper part of 32, and speech uses few of them.
        I2S.shift(buf=wide, bits=32, shift=settings.MIC_GAIN_BITS)
        take_upper_halves(wide, buffer, n_samples)
        return 2 * n_samples

    def stop_recording(self) -> None:
        self._bus.deinit()

    def start_playing(self) -> None:
        self._bus = I2S(
            1,
            sck=Pin(settings.SPEAKER_CLOCK_PIN),
            ws=Pin(settings.SPEAKER_SELECT_PIN),
            sd=Pin(settings.SPEAKER_DATA_PIN),
            mode=I2S.TX,
            bits=16,
            format=I2S.MONO,
            rate=RATE_HZ,
            ibuf=SPEAKER_BUFFER_BYTES,
        )

    def play(self, buffer: memoryview) -> None:
        """Play PCM16; waits while the bus has enough."""
        self._bus.write(buffer)

    def cut_playing(self) -> None:
        # What was written is not waited for: somebody speaks already.
        self._bus.deinit()

    def stop_playing(self) -> None:
        # What was written is still on its way; silence pushes it out before the bus is closed.
        for _ in range(SPEAKER_BUFFER_BYTES // len(self._silence)):
            self._bus.write(self._silence)
        self._bus.deinit()
