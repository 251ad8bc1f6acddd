"""Sound files in the place of microphone and speaker; they keep the contract of a stream."""

from __future__ import annotations

import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

from clients.device.portaudio import OUTPUT_S, AudioTrouble
from clients.device.windows import SAMPLE_RATE, WINDOW_S

LOWEST_HZ, HIGHEST_HZ = 4_000, 192_000


class WavMicrophone:
    """Gives a WAV file as a microphone would, then silence for a while: in real time, or as fast as it is heard."""

    def __init__(
        self, path: Path, on_chunk: Callable[[bytes, bool], object], n_waiting: Callable[[], int] | None, tail_s: float
    ) -> None:
        """n_waiting: how much has not been heard yet, for a file that is read fast; None for real time."""
        self.name = str(path)
        try:
            with wave.open(str(path), "rb") as file:
                self.sample_rate, self.channels = file.getframerate(), file.getnchannels()
                if not LOWEST_HZ <= self.sample_rate <= HIGHEST_HZ:
                    raise AudioTrouble(f"{path} has {self.sample_rate} Hz; {LOWEST_HZ} to {HIGHEST_HZ} are read")
                if file.getsampwidth() != 2:
                    raise AudioTrouble(f"{path} has {8 * file.getsampwidth()} bits; a WAV of 16 bits is read")
                self._frames = file.readframes(file.getnframes())
        except OSError as error:
            raise AudioTrouble(f"{path} cannot be read: {error.strerror}") from None
        except (wave.Error, EOFError) as error:
            raise AudioTrouble(f"{path} is no WAV of PCM16 ({error or 'it is cut short'})") from None
        self._frames += bytes(2 * self.channels * round(tail_s * self.sample_rate))
        self._on_chunk = on_chunk
        self._n_waiting = n_waiting
        self._is_closed = threading.Event()
        self.is_over = False
        self._thread = threading.Thread(target=self._run, name="wav-microphone", daemon=True)

    def start(self) -> None:
        """Let sound flow."""
        self._thread.start()

    @property
    def is_active(self) -> bool:
        """A file that is over is no fault."""
        return True

    def close(self) -> None:
        """Stop."""
        self._is_closed.set()

    def _run(self) -> None:
        size = 2 * self.channels * round(WINDOW_S * self.sample_rate)
        began_s = time.monotonic()
        for number, at in enumerate(range(0, len(self._frames), size)):
            if self._n_waiting is None:
                self._is_closed.wait(max(0.0, began_s + (number + 1) * WINDOW_S - time.monotonic()))
            else:
                while self._n_waiting() > 16 and not self._is_closed.wait(0.001):
                    pass
            if self._is_closed.is_set():
                return
            self._on_chunk(self._frames[at : at + size], False)
        self.is_over = True


class WavSpeaker:
    """Writes what would be played into a WAV file, in real time."""

    name = "file"
    sample_rate = SAMPLE_RATE
    channels = 1

    def __init__(self, path: Path, fill: Callable[[int, int], bytes]) -> None:
        self._fill = fill
        try:
            self._file = wave.open(str(path), "wb")  # noqa: SIM115 - it grows until it is closed
        except OSError as error:
            raise AudioTrouble(f"{path} cannot be written: {error.strerror}") from None
        self._file.setparams((1, 2, self.sample_rate, 0, "NONE", ""))
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wav-speaker", daemon=True)

    def start(self) -> None:
        """Let sound flow."""
        self._thread.start()

    @property
    def is_active(self) -> bool:
        """Whether sound flows."""
        return not self._is_closed.is_set()

    def close(self) -> None:
        """Complete the file."""
        self._is_closed.set()
        self._thread.join(5)
        self._file.close()

    def _run(self) -> None:
        n_frames = round(OUTPUT_S * self.sample_rate)
        due_s = time.monotonic()
        while not self._is_closed.wait(max(0.0, due_s - time.monotonic())):
            due_s += OUTPUT_S
            self._file.writeframes(self._fill(n_frames, self.sample_rate))
