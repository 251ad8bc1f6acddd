"""Sound files made for the tests."""

import io
import struct

import av
import numpy as np

EXTENSIBLE = 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def make_wav(
    data: bytes,
    tag: int = 1,
    bits: int = 16,
    channels: int = 1,
    rate: int = 16_000,
    *,
    block_bytes: int | None = None,
    subformat: int = 1,
    before_fmt: bytes = b"",
    before_data: bytes = b"",
    after_data: bytes = b"",
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """Write a WAV in which every field can be made to lie."""
    block = channels * ((bits + 7) // 8) if block_bytes is None else block_bytes
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    if tag == EXTENSIBLE:
        fmt += struct.pack("<HHIH", 22, bits, 0, subformat) + _GUID_TAIL
    size = len(data) if data_size is None else data_size
    chunks = (
        before_fmt + make_chunk(b"fmt ", fmt) + before_data + struct.pack("<4sI", b"data", size) + data + after_data
    )
    return struct.pack("<4sI4s", b"RIFF", len(chunks) + 4 if riff_size is None else riff_size, b"WAVE") + chunks


def make_chunk(name: bytes, body: bytes) -> bytes:
    """Write a RIFF chunk, padded to an even length."""
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def make_samples(n_frames: int, channels: int = 1, seed: int = 5) -> np.ndarray:
    """Return a float64 tone with a little noise, shape (n_frames, channels); each channel has its own pitch."""
    time = np.arange(n_frames)[:, np.newaxis] / 16_000
    pitches_hz = 300 + 70 * np.arange(channels)
    noise = np.random.default_rng(seed).normal(0, 0.01, (n_frames, channels))
    return 0.5 * np.sin(2 * np.pi * pitches_hz * time) + noise


def pack_samples(samples: np.ndarray, tag: int, bits: int) -> bytes:
    """Write float samples as WAV data of format 1 (integers) or 3 (floats)."""
    if tag == 3:
        return samples.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return (np.rint(samples * 127) + 128).astype(np.uint8).tobytes()
    words = np.rint(samples * (2 ** (bits - 1) - 1)).astype("<i4")
    return words.reshape(-1).view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


def encode_with(
    container: str,
    codec: str,
    pcm16: bytes,
    rate: int = 16_000,
    channels: int = 1,
    options: dict[str, str] | None = None,
) -> bytes:
    """Encode interleaved 16-bit samples with a codec of FFmpeg."""
    target = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(target, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"})
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm16, "<i2")[np.newaxis], format="s16", layout=layout)
        frame.sample_rate = rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()
