"""Sound of this machine: from the microphone or the standard input, to the loudspeaker or a file."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import threading
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path

from clients.service import Trouble

CHUNK_BYTES = 3_200
RAW_TYPE = "audio/L16;rate=16000"
"""What the recorders give, and what the standard input is taken for unless it is a sound file."""
RECORDERS = {
    "arecord": "-q -t raw -f S16_LE -c 1 -r 16000 -d {limit_s}",
    "rec": "-q -t raw -e signed-integer -b 16 -c 1 -r 16000 - trim 0 {limit_s}",
}
LIMIT_S = 60
"""The longest recording, which is also what a service takes of one utterance."""
PLAYERS = {
    "aplay": "-q -",
    "play": "-q -t wav -",
    "ffplay": "-nodisp -autoexit -loglevel error -i -",
}


def read_input() -> Iterator[bytes]:
    """Yield what comes on the standard input, when it comes."""
    while chunk := os.read(sys.stdin.fileno(), CHUNK_BYTES):
        yield chunk


def record(limit_s: int = LIMIT_S) -> Iterator[bytes]:
    """Yield PCM16 from the microphone until Enter."""
    command = [part.format(limit_s=limit_s) for part in _find(RECORDERS) or ()]
    if not command:
        raise Trouble(f"no recorder here ({', '.join(RECORDERS)}): install alsa-utils or sox, or name a sound file", 2)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        threading.Thread(target=_stop_at_enter, args=[process], daemon=True).start()
        try:
            while chunk := os.read(process.stdout.fileno(), CHUNK_BYTES):
                yield chunk
        finally:
            process.terminate()


def _stop_at_enter(process: subprocess.Popen[bytes]) -> None:
    # Below Python's own buffer, whose lock would be held when the program ends without Enter.
    os.read(sys.stdin.fileno(), CHUNK_BYTES)
    process.terminate()


def _find(programs: dict[str, str]) -> list[str] | None:
    """Return the command line of the first program that is installed."""
    return next(([name, *options.split()] for name, options in programs.items() if shutil.which(name)), None)


class Player:
    """Plays sentence after sentence; the next is fetched while the last second or two of one are heard."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, wav: Iterable[bytes]) -> None:
        """Play a WAV while it comes, when the one before is over."""
        self._wait()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        # A player that leaves tells why by its exit status.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            for piece in wav:
                pipe.write(piece)

    def __enter__(self) -> Player:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait until everything was heard; what went wrong ends it at once."""
        if kind is None:
            self._wait()
        elif self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _wait(self) -> None:
        if self._process is not None and self._process.wait() != 0:
            name, status = self._command[0], self._process.returncode
            raise Trouble(f"{name} ended with status {status}; --save reply.wav keeps the reply")


class Saver:
    """Keeps the reply as one WAV file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: wave.Wave_write | None = None

    def add(self, wav: Iterable[bytes]) -> None:
        """Keep a WAV, also one that came as a stream and does not know its length."""
        body = b"".join(wav)
        with wave.open(io.BytesIO(body)) as source:
            if self._file is None:
                self._file = wave.open(str(self._path), "wb")  # noqa: SIM115 - it grows with each sentence
                self._file.setparams((1, 2, source.getframerate(), 0, "NONE", ""))
            self._file.writeframes(source.readframes(len(body)))

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def open_output(path: str | None) -> Player | Saver:
    """Return where the reply goes: a file, or the loudspeaker."""
    return Player(find_player("--save reply.wav")) if path is None else Saver(Path(path))


def find_player(way_out: str) -> list[str]:
    """Return the command line of a player; where there is none, Trouble names the option that keeps the reply."""
    command = _find(PLAYERS)
    if command is None:
        raise Trouble(f"no player here ({', '.join(PLAYERS)}): install one, or keep the reply with {way_out}", 2)
    return command
