"""WAV files as devices really send them: headers that lie, chunks in any order, every width."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.audio.pcm import from_samples
from app.errors import BadAudio, UnsupportedAudio

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 384_000
MAX_CHANNELS = 32
MAX_HEADER_BYTES = 1 << 20
MAX_CHUNKS_BEFORE_DATA = 100
UNKNOWN_SIZE = 0xFFFFFFFF

_ENCODINGS = {1: "int", 3: "float", 6: "alaw", 7: "ulaw"}
_EXTENSIBLE = 0xFFFE
_WIDTHS_BYTES = {"int": (1, 2, 3, 4), "float": (4, 8), "alaw": (1,), "ulaw": (1,)}


@dataclass(frozen=True, slots=True)
class WavFormat:
    """How the samples of a WAV or a raw stream are written; always little-endian."""

    encoding: str
    "`int`, `float`, `alaw`, `ulaw`, or `tag 0x…` for one that needs a codec."
    sample_bytes: int
    "Bytes of one sample of one channel; integers of one byte are unsigned."
    channels: int
    sample_rate: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.sample_bytes * self.channels

    @property
    def is_plain(self) -> bool:
        """Whether the samples can be read without a codec."""
        return self.encoding in _WIDTHS_BYTES


@dataclass(frozen=True, slots=True)
class WavHeader:
    """Where the sound of a WAV lies."""

    format: WavFormat
    data_offset: int
    data_bytes: int | None
    "What the header claims; None when it leaves the length open."


def read_wav(body: bytes) -> tuple[bytes, WavFormat]:
    """Return the sound of a WAV in its own format; of a body cut short, what is there.

    Raises BadAudio, and UnsupportedAudio for samples that need a codec.
    """
    header = find_data(body)
    if header is None:
        raise BadAudio(f"the WAV of {len(body)} bytes ends before its data chunk: send the whole file")
    if not header.format.is_plain:
        raise UnsupportedAudio(f"the WAV is written with format {header.format.encoding}: send 16-bit PCM")
    end = None if header.data_bytes is None else header.data_offset + header.data_bytes
    return body[header.data_offset : end], header.format


def find_data(body: bytes | bytearray) -> WavHeader | None:
    """Walk the chunks up to the sound; None when more bytes are needed to find it.

    body: from the first byte of the file, any length.  The RIFF size is not read: it is wrong too often.
    A data size of 0 or 0xFFFFFFFF means that the writer did not know it yet.  Raises BadAudio.
    """
    at, found = 12, None
    for _ in range(MAX_CHUNKS_BEFORE_DATA):
        if at + 8 > len(body):
            return None
        name, size = struct.unpack_from("<4sI", body, at)
        start, at = at + 8, at + 8 + size
        if name == b"data":
            if found is None:
                raise BadAudio("the WAV has no fmt chunk before its data: write fmt first, or send raw PCM and ?rate=")
            return WavHeader(found, start, None if size in (0, UNKNOWN_SIZE) else size)
        if at > MAX_HEADER_BYTES:
            break
        if at >= len(body):
            return None
        if name == b"fmt ":
            found = _parse_format(bytes(body[start : min(at, start + 40)]))
        # An odd chunk is followed by a zero; a writer that forgot it goes on with the next name at once.
        at += size % 2 if body[at] == 0 else 0
    raise BadAudio(f"the WAV's header says that {at} bytes go before the sound: it is damaged, or the sound is missing")


def write_wav(pcm16: bytes, sample_rate: int) -> bytes:
    """Return the audio as a WAV file."""
    return _header(sample_rate, 36 + len(pcm16), len(pcm16)) + pcm16


def stream_header(sample_rate: int) -> bytes:
    """Return the 44 bytes before PCM16 of unknown length.

    Both sizes are 0xFFFFFFFF, as ffmpeg writes them into a pipe: players take it as "until the stream ends".
    """
    return _header(sample_rate, UNKNOWN_SIZE, UNKNOWN_SIZE)


def to_mono_pcm16(data: bytes, fmt: WavFormat) -> bytes:
    """Turn whole frames of any plain format into PCM16 at the same rate; channels are averaged."""
    if fmt.encoding == "float":
        words = np.frombuffer(from_samples(np.frombuffer(data, f"<f{fmt.sample_bytes}")), "<i2")
    elif fmt.encoding in ("alaw", "ulaw"):
        words = _g711_table(fmt.encoding)[np.frombuffer(data, np.uint8)]
    elif fmt.sample_bytes == 1:
        words = (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    elif fmt.sample_bytes == 2:
        words = np.frombuffer(data, "<i2")
    else:
        top = np.frombuffer(data, np.uint8).reshape(-1, fmt.sample_bytes)[:, -2:]
        words = np.ascontiguousarray(top).view("<i2")[:, 0]
    return _average(words, fmt.channels).astype("<i2", copy=False).tobytes()


def check_format(sample_rate: int, channels: int) -> None:
    """Raise BadAudio for a rate or a number of channels that no recorder has."""
    if not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
        raise BadAudio(f"the sample rate is {sample_rate} Hz; allowed is {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise BadAudio(f"the sound has {channels} channels; allowed is 1 to {MAX_CHANNELS}")


def _parse_format(chunk: bytes) -> WavFormat:
    if len(chunk) < 16:
        raise BadAudio(f"the WAV's fmt chunk has {len(chunk)} bytes; it needs at least 16")
    tag, channels, sample_rate, _, block_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    check_format(sample_rate, channels)
    encoding = _ENCODINGS.get(tag)
    if encoding is None:
        return WavFormat(f"tag {tag:#06x}", 0, channels, sample_rate)
    sample_bytes = 1 if encoding in ("alaw", "ulaw") else (bits + 7) // 8
    if sample_bytes == 3 and block_bytes == 4 * channels:
        sample_bytes = 4
    if sample_bytes not in _WIDTHS_BYTES[encoding]:
        allowed = " or ".join(str(8 * width) for width in _WIDTHS_BYTES[encoding])
        raise BadAudio(f"the WAV has {encoding} samples of {bits} bits; allowed is {allowed}")
    return WavFormat(encoding, sample_bytes, channels, sample_rate)


def _average(words: NDArray[np.int16], channels: int) -> NDArray[np.integer]:
    if channels == 1:
        return words
    frames = words.reshape(-1, channels)
    total = frames[:, 0].astype(np.int32)
    for channel in range(1, channels):
        total += frames[:, channel]
    return total // channels


@cache
def _g711_table(encoding: str) -> NDArray[np.int16]:
    """Return the PCM16 value of each of the 256 codes.  Source: ITU-T G.711 (11/88)."""
    codes = np.arange(256)
    if encoding == "ulaw":
        codes = ~codes & 0xFF
        magnitude = ((((codes & 0x0F) << 3) + 0x84) << (codes >> 4 & 7)) - 0x84
        is_positive = codes < 0x80
    else:
        codes = codes ^ 0x55
        segment, step = codes >> 4 & 7, (codes & 0x0F) << 4
        magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
        is_positive = codes >= 0x80
    return np.where(is_positive, magnitude, -magnitude).astype(np.int16)


def _header(sample_rate: int, riff_bytes: int, data_bytes: int) -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + fmt + struct.pack("<4sI", b"data", data_bytes)
