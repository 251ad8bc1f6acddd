"""The sound devices of this machine, by PyAudio in callback mode: no call of ours waits for sound."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clients.device.settings import MicrophoneSettings, SpeakerSettings
from clients.device.windows import SAMPLE_RATE, WINDOW_SAMPLES
from clients.service import Trouble

OUTPUT_S = 0.04
"""Sound that the speaker asks for at a time: what is interrupted ends after one or two of these."""


class AudioTrouble(Trouble):
    """A sound device that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """One entry of the list of devices."""

    index: int
    name: str
    n_inputs: int
    n_outputs: int
    sample_rate: int
    "The device's own, in hertz."


class PortAudio:
    """Opens streams; knows the devices that were there when it began, so it begins again when one is missing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pa: Any = None
        self._n_open = 0

    def devices(self) -> list[SoundDevice]:
        """Return what can be opened."""
        pa = self._begin()
        try:
            found = [pa.get_device_info_by_index(i) for i in range(pa.get_device_count())]
        except OSError as error:
            raise AudioTrouble(f"the sound devices cannot be listed ({error}): does `arecord -l` list them?") from None
        return [
            SoundDevice(
                int(each["index"]),
                str(each["name"]),
                int(each["maxInputChannels"]),
                int(each["maxOutputChannels"]),
                int(each["defaultSampleRate"]),
            )
            for each in found
        ]

    def open_microphone(self, settings: MicrophoneSettings, on_chunk: Callable[[bytes, bool], object]) -> Stream:
        """Open a microphone that has not begun yet; raises AudioTrouble.

        on_chunk: called by the audio thread with interleaved PCM16, and whether the driver has lost some before it.
        """
        pa = self._begin()
        device = self._find(settings.device, "microphone", lambda each: each.n_inputs)
        rates = [settings.sample_rate] if settings.sample_rate else [SAMPLE_RATE, device.sample_rate]
        import pyaudio

        def callback(data: bytes, _frames: int, _times: object, flags: int) -> tuple[None, int]:
            on_chunk(data, bool(flags & pyaudio.paInputOverflow))
            return None, int(pyaudio.paContinue)

        trouble = ""
        for channels in dict.fromkeys((settings.channels, min(2, device.n_inputs))):
            for rate in dict.fromkeys(rates):
                try:
                    stream = pa.open(
                        format=pyaudio.paInt16,
                        channels=channels,
                        rate=rate,
                        input=True,
                        input_device_index=device.index,
                        frames_per_buffer=round(WINDOW_SAMPLES * rate / SAMPLE_RATE),
                        stream_callback=callback,
                        start=False,
                    )
                except (OSError, ValueError) as error:
                    trouble = trouble or f"{rate} Hz, {channels} channels: {error}"
                else:
                    return self._opened(Stream(stream, device.name, rate, channels, self._closed))
        raise AudioTrouble(
            f"the microphone {device.name!r} cannot be opened ({trouble}): it may be in use, or not do"
            " microphone.sample_rate or microphone.channels; `arecord -l` and --list-devices show what there is"
        )

    def open_speaker(self, settings: SpeakerSettings, fill: Callable[[int, int], bytes]) -> Stream:
        """Open a speaker that has not begun yet; raises AudioTrouble.

        fill: called by the audio thread with a number of frames and their rate; returns PCM16, mono.
        """
        pa = self._begin()
        device = self._find(settings.device, "speaker", lambda each: each.n_outputs)
        import pyaudio

        trouble = ""
        own_rate = min(48_000, max(8_000, device.sample_rate))
        for rate in [settings.sample_rate] if settings.sample_rate else dict.fromkeys((own_rate, 48_000, SAMPLE_RATE)):

            def callback(
                _data: None, n_frames: int, _times: object, _flags: int, rate: int = rate
            ) -> tuple[bytes, int]:
                return fill(n_frames, rate), int(pyaudio.paContinue)

            try:
                stream = pa.open(
                    format=pyaudio.paInt16,
                    channels=1,
                    rate=rate,
                    output=True,
                    output_device_index=device.index,
                    frames_per_buffer=round(OUTPUT_S * rate),
                    stream_callback=callback,
                    start=False,
                )
            except (OSError, ValueError) as error:
                trouble = trouble or f"{rate} Hz: {error}"
            else:
                return self._opened(Stream(stream, device.name, rate, 1, self._closed))
        raise AudioTrouble(
            f"the speaker {device.name!r} cannot be opened ({trouble}): it may be in use, or not do"
            " speaker.sample_rate; `aplay -l` and --list-devices show what there is"
        )

    def begin_again(self) -> bool:
        """Look for devices anew: what was plugged in since is not in the list; return False when a stream is open."""
        with self._lock:
            if self._pa is not None and self._n_open == 0:
                self._pa.terminate()
                self._pa = None
            return self._pa is None

    def close(self) -> None:
        """Give everything back."""
        self.begin_again()

    def _begin(self) -> Any:
        with self._lock:
            if self._pa is None:
                try:
                    import pyaudio
                except ImportError:
                    raise AudioTrouble(
                        "PyAudio is not installed: sudo apt install portaudio19-dev gcc python3-dev, then"
                        " pip install 'earshot[device]'"
                    ) from None
                try:
                    with quiet():
                        self._pa = pyaudio.PyAudio()
                except OSError as error:
                    raise AudioTrouble(f"the sound system does not start ({error}): does `arecord -l` work?") from None
            return self._pa

    def _find(self, wanted: str, what: str, n_channels: Callable[[SoundDevice], int]) -> SoundDevice:
        """Return the device of that number or name, or the system's own."""
        able = [each for each in self.devices() if n_channels(each)]
        if not able:
            raise AudioTrouble(f"this machine has no {what}: plug one in; `arecord -l` and `aplay -l` list them")
        if not wanted:
            pa = self._begin()
            with contextlib.suppress(OSError):
                own = (
                    pa.get_default_input_device_info() if what == "microphone" else pa.get_default_output_device_info()
                )
                return next((each for each in able if each.index == own["index"]), able[0])
            return able[0]
        names = ", ".join(f"{each.index} {each.name!r}" for each in able)
        exact = [each for each in able if wanted in (str(each.index), each.name)]
        alike = [each for each in able if wanted.casefold() in each.name.casefold()]
        if not exact and not alike:
            raise AudioTrouble(f"there is no {what} {wanted!r}; there are {names}")
        return (exact or alike)[0]

    def _opened(self, stream: Stream) -> Stream:
        with self._lock:
            self._n_open += 1
        return stream

    def _closed(self) -> None:
        with self._lock:
            self._n_open -= 1


class Stream:
    """An open device."""

    def __init__(
        self, stream: Any, name: str, sample_rate: int, channels: int, on_closed: Callable[[], object]
    ) -> None:
        self._stream = stream
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self._on_closed = on_closed

    def start(self) -> None:
        """Let sound flow; raises AudioTrouble."""
        try:
            self._stream.start_stream()
        except OSError as error:
            raise AudioTrouble(f"{self.name!r} does not start: {error}") from None

    @property
    def is_active(self) -> bool:
        """Whether the driver believes that sound flows."""
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def close(self) -> None:
        """Give the device back; may hang when its driver does."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._on_closed()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what ALSA and JACK print while devices are looked for away from the terminal."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
