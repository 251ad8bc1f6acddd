"""Sound of a live conversation: recordings that are spoken, replies that are heard while they come."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import wave
from pathlib import Path

from clients.service import Trouble
from clients.sound import find_player

REPLY_RATE_HZ = 24_000
RATES_HZ = (8_000, 48_000)
WAV_HEADER = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, REPLY_RATE_HZ, 2 * REPLY_RATE_HZ, 2, 16, b"data", 0xFFFFFFFF),
)
"""For a player: of sound whose length is not known yet."""


def read_recording(recording: Path | bytes) -> tuple[bytes, int]:
    """Return the PCM16 of a WAV's first channel, and its rate; raises Trouble when it cannot be spoken."""
    name = "the recording" if isinstance(recording, bytes) else str(recording)
    try:
        with wave.open(io.BytesIO(recording) if isinstance(recording, bytes) else str(recording)) as file:
            width, n_channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise Trouble(f"{name} is no WAV that can be read ({error}); sox or ffmpeg makes one of it", 2) from None
    if width != 2 or not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise Trouble(f"{name} has {8 * width} bits at {rate} Hz; 16 bits at 8000 to 48000 Hz are wanted", 2)
    whole = frames[: len(frames) // (2 * n_channels) * 2 * n_channels]
    return memoryview(whole).cast("h")[::n_channels].tobytes(), rate


class LiveOutput:
    """Where replies go while they come: a WAV file, the loudspeaker, both or neither."""

    def __init__(self, path: str | None, is_played: bool) -> None:
        self._command = find_player("--out answer.wav") if is_played else None
        self._process: asyncio.subprocess.Process | None = None
        self._file: wave.Wave_write | None = None
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = wave.open(path, "wb")  # noqa: SIM115 - it grows with each chunk
            self._file.setparams((1, 2, REPLY_RATE_HZ, 0, "NONE", ""))

    async def add(self, pcm16: bytes) -> None:
        """Keep and play the next piece; the service sends little ahead, so that nothing needs to wait."""
        if self._file is not None:
            self._file.writeframes(pcm16)
        if self._command is None:
            return
        await self.play_out()
        if self._process is None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe)
            self._write(WAV_HEADER)
        self._write(pcm16)

    def complete(self) -> None:
        """Tell the player that nothing more comes."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def play_out(self) -> None:
        """Wait until everything was heard, unless more is to come."""
        process = self._process
        if process is None or process.stdin is None or not process.stdin.is_closing():
            return
        self._process = None
        # A player that left before tells why by its exit status.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.wait_closed()
        if await process.wait() != 0:
            name = (self._command or [""])[0]
            raise Trouble(f"{name} ended with status {process.returncode}; --out answer.wav keeps the reply")

    async def drop(self) -> None:
        """Be silent at once."""
        if self._process is not None:
            process, self._process = self._process, None
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def close(self) -> None:
        """Be silent and complete the file."""
        await self.drop()
        if self._file is not None:
            self._file.close()

    def _write(self, data: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(data)
