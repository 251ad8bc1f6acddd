"""WAV files, honest and lying."""

import io
import struct
import wave

import av
import numpy as np
import pytest

from app.audio.wav import WavFormat, find_data, read_wav, stream_header, to_mono_pcm16, write_wav
from app.errors import BadAudio, UnsupportedAudio
from tests.audio.files import EXTENSIBLE, make_chunk, make_samples, make_wav, pack_samples

SOUND = bytes(range(1, 201))
LIST = make_chunk(b"LIST", b"INFOISFT\x0e\x00\x00\x00Lavf61.7.100\x00\x00")


def decode_with_ffmpeg(body: bytes) -> np.ndarray:
    """Return what FFmpeg makes of a file, as 16-bit mono at its own rate."""
    with av.open(io.BytesIO(body)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


@pytest.mark.parametrize(("tag", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (2, 44_100), (3, 1_000), (6, 384_000), (32, 48_000)])
@pytest.mark.parametrize("is_extensible", [False, True])
def test_every_width_becomes_the_same_sound(tag: int, bits: int, channels: int, rate: int, is_extensible: bool) -> None:
    """Whatever the width, the format chunk and the number of channels, the average of the channels comes out."""
    samples = make_samples(400, channels)
    outer_tag = EXTENSIBLE if is_extensible else tag
    body = make_wav(pack_samples(samples, tag, bits), outer_tag, bits, channels, rate, subformat=tag)
    data, fmt = read_wav(body)
    assert fmt == WavFormat("float" if tag == 3 else "int", bits // 8, channels, rate)
    words = np.frombuffer(to_mono_pcm16(data, fmt), "<i2")
    assert np.abs(words - samples.mean(axis=1) * 32_768).max() < (300 if bits == 8 else 3)


@pytest.mark.parametrize(("tag", "codec"), [(6, "alaw"), (7, "ulaw")])
def test_telephone_codes_are_read_as_ffmpeg_reads_them(tag: int, codec: str) -> None:
    """Each of the 256 codes of A-law and mu-law has its value."""
    body = make_wav(bytes(range(256)), tag, 8, rate=8_000)
    data, fmt = read_wav(body)
    assert fmt.encoding == codec
    assert np.array_equal(np.frombuffer(to_mono_pcm16(data, fmt), "<i2"), decode_with_ffmpeg(body))


def test_24_bits_in_four_bytes_are_read_from_the_top() -> None:
    """The block size tells that 24-bit samples fill four bytes each."""
    data, fmt = read_wav(make_wav(struct.pack("<2i", 1 << 24, -(1 << 30)), bits=24, block_bytes=4))
    assert fmt.sample_bytes == 4
    assert np.frombuffer(to_mono_pcm16(data, fmt), "<i2").tolist() == [256, -16_384]


def test_a_wrong_block_size_is_not_believed() -> None:
    """Writers that leave the block size 0 are read by their bits."""
    assert read_wav(make_wav(SOUND, block_bytes=0)) == (SOUND, WavFormat("int", 2, 1, 16_000))


def test_floats_that_are_no_numbers_are_silence() -> None:
    """NaN becomes 0, infinity full scale, and what is too loud is clipped."""
    data = np.array([np.nan, np.inf, -np.inf, 3.0, -3.0], "<f4").tobytes()
    words = np.frombuffer(to_mono_pcm16(data, WavFormat("float", 4, 1, 16_000)), "<i2").tolist()
    assert words == [0, 32_767, -32_768, 32_767, -32_768]


@pytest.mark.parametrize("data_size", [0, 200, 202, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
def test_sizes_may_lie(data_size: int) -> None:
    """A size that was not known, or that is larger than what came, means all that came."""
    for riff_size in (0, 1, 36, 0x7FFFFFFF, 0xFFFFFFFF):
        assert read_wav(make_wav(SOUND, riff_size=riff_size, data_size=data_size))[0] == SOUND


@pytest.mark.parametrize("before_fmt", [b"", make_chunk(b"JUNK", bytes(28)), make_chunk(b"bext", bytes(603))])
@pytest.mark.parametrize("before_data", [b"", LIST, make_chunk(b"fact", bytes(4)) + LIST + make_chunk(b"odd ", b"abc")])
@pytest.mark.parametrize("after_data", [b"", LIST])
def test_other_chunks_are_skipped(before_fmt: bytes, before_data: bytes, after_data: bytes) -> None:
    """Chunks before, between and after the two that matter are not heard."""
    body = make_wav(SOUND, before_fmt=before_fmt, before_data=before_data, after_data=after_data)
    assert read_wav(body)[0] == SOUND


def test_an_odd_chunk_without_its_padding_is_skipped_too() -> None:
    """A writer that forgot the zero after an odd chunk is understood."""
    assert read_wav(make_wav(SOUND, before_data=make_chunk(b"note", b"abc")[:-1]))[0] == SOUND


def test_a_header_is_found_as_soon_as_it_is_there() -> None:
    """Up to the data chunk more bytes are asked for; behind it the answer never changes."""
    body = make_wav(SOUND, before_data=LIST)
    start = body.index(b"data") + 8
    assert {find_data(body[:n]) for n in range(12, start)} == {None}
    headers = {find_data(body[:n]) for n in range(start, len(body))}
    assert [(h.data_offset, h.data_bytes) for h in headers if h] == [(start, 200)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (make_wav(SOUND)[:30], "before its data"),
        (make_wav(b"")[:40], "before its data"),
        (b"RIFF\x04\x00\x00\x00WAVE" + make_chunk(b"data", SOUND), "no fmt"),
        (b"RIFF\x04\x00\x00\x00WAVE" + make_chunk(b"fmt ", bytes(8)) + make_chunk(b"data", SOUND), "16"),
        (make_wav(SOUND, before_data=struct.pack("<4sI", b"LIST", 0xFFFFFFF0)), "damaged"),
        (make_wav(SOUND, before_data=make_chunk(b"JUNK", b"") * 200), "damaged"),
        (make_wav(SOUND, rate=0), "0 Hz"),
        (make_wav(SOUND, rate=999_999), "999999 Hz"),
        (make_wav(SOUND, channels=0), "0 channels"),
        (make_wav(SOUND, channels=33), "33 channels"),
        (make_wav(SOUND, bits=0), "0 bits"),
        (make_wav(SOUND, bits=64), "64 bits"),
        (make_wav(SOUND, tag=3, bits=16), "16 bits"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, reason: str) -> None:
    """A damaged header is refused with the value that is wrong."""
    with pytest.raises(BadAudio, match=reason):
        read_wav(body)


def test_samples_that_need_a_codec_are_refused() -> None:
    """ADPCM in a WAV is not taken for PCM."""
    with pytest.raises(UnsupportedAudio, match="0x0011"):
        read_wav(make_wav(SOUND, tag=0x11, bits=4))


def test_a_written_wav_is_read_by_the_standard_library() -> None:
    """The file has the rate and the samples that were put in."""
    body = write_wav(SOUND, 22_050)
    with wave.open(io.BytesIO(body)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
        assert file.readframes(1_000) == SOUND
    assert read_wav(body) == (SOUND, WavFormat("int", 2, 1, 22_050))


def test_a_stream_header_is_understood_by_players() -> None:
    """44 bytes and then sound, as long as it comes: FFmpeg and the reader here take all of it."""
    header = stream_header(24_000)
    assert len(header) == 44
    assert read_wav(header + SOUND) == (SOUND, WavFormat("int", 2, 1, 24_000))
    assert decode_with_ffmpeg(header + SOUND).tobytes() == SOUND
