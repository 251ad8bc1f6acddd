"""Converts samples of the microphone and prints them, under MicroPython or Python."""

import sys
from array import array

if sys.implementation.name != "micropython":

    class Micropython:
        """Compiles nothing."""

        @staticmethod
        def native(function):  # type: ignore[no-untyped-def]
            return function

    sys.modules["micropython"] = Micropython  # type: ignore[assignment]

from sound_i2s import take_upper_halves

SAMPLES = (0, 0x1FFFF, -1, 0x7FFFFFFF, -0x80000000, 0x12345678)
wide = b"".join((sample & 0xFFFFFFFF).to_bytes(4, "little") for sample in SAMPLES)
narrow = bytearray(2 * len(SAMPLES))
take_upper_halves(memoryview(wide), memoryview(narrow), len(SAMPLES))
print(list(array("h", narrow)))
