"""Runs the device's program with files in place of microphone and speaker, under MicroPython or Python.

Arguments: URL TOKEN SESSION QUESTION ANSWER PRESSES STEPS.  The question is PCM16, said anew at each press of the
button; what is played goes to the answer.  PRESSES says when the button is pressed, with commas between:
`start`, and `play` for one press while something is played.  The program ends after STEPS steps of the device.
"""

import sys
import time

if not hasattr(time, "ticks_ms"):
    # What MicroPython's clock has and Python's has not.
    time.ticks_ms = lambda: int(time.monotonic() * 1000)  # type: ignore[attr-defined]
    time.ticks_diff = lambda later, earlier: later - earlier  # type: ignore[attr-defined]
    time.sleep_ms = lambda ms: time.sleep(ms / 1000)  # type: ignore[attr-defined]

from connection import Connection
from device import Device


class FileBoard:
    """A button that is held as long as the question lasts, and sound out of and into files."""

    def __init__(self, question, answer, presses):  # type: ignore[no-untyped-def]
        self._question = question
        self._answer = answer
        self._presses = presses
        self._file = None
        self._is_held = False
        self._press("start")

    def _press(self, moment):  # type: ignore[no-untyped-def]
        if moment in self._presses:
            self._presses.remove(moment)
            self._is_held = True

    def is_pressed(self):  # type: ignore[no-untyped-def]
        return self._is_held

    def start_recording(self):  # type: ignore[no-untyped-def]
        self._file = open(self._question, "rb")  # noqa: SIM115

    def record_into(self, buffer):  # type: ignore[no-untyped-def]
        n_read = self._file.readinto(buffer)
        if n_read < len(buffer):
            self._is_held = False
        return n_read

    def stop_recording(self):  # type: ignore[no-untyped-def]
        self._is_held = False
        self._file.close()

    def start_playing(self):  # type: ignore[no-untyped-def]
        print("speaker on")

    def play(self, buffer):  # type: ignore[no-untyped-def]
        with open(self._answer, "ab") as file:
            file.write(buffer)
        self._press("play")

    def stop_playing(self):  # type: ignore[no-untyped-def]
        print("speaker off")

    def cut_playing(self):  # type: ignore[no-untyped-def]
        print("speaker cut")


class Network:
    """A network that is there."""

    def bring_up(self):  # type: ignore[no-untyped-def]
        print("network asked for")


class ImpatientDevice(Device):
    """Tries again at once."""

    def rest(self, wait_s):  # type: ignore[no-untyped-def]
        pass


def main() -> None:
    url, token, session, question, answer, presses, steps = sys.argv[1:]
    board = FileBoard(question, answer, presses.split(","))
    device = ImpatientDevice(Connection(url, token, session), board, Network(), 30)
    for _ in range(int(steps)):
        device.step()


if __name__ == "__main__":
    main()
