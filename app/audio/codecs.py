"""Any upload to PCM16, whole or as it arrives; PCM16 to what a device can play."""

from __future__ import annotations

import io
from typing import Protocol

from app.audio.containers import decode_container
from app.audio.kinds import HEAD_BYTES, HOW_TO_SEND_RAW, KNOWN, judge
from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from app.audio.resample import StreamResampler, resample
from app.audio.wav import WavFormat, find_data, to_mono_pcm16, write_wav
from app.errors import AudioTooLarge, BadAudio, BadRequest

MAX_DURATION_S = 120.0

MIN_PLAY_RATE_HZ, MAX_PLAY_RATE_HZ = 8_000, 48_000

_MAX_FILE_BYTES_PER_S = 600_000
"""More than 24-bit stereo at 96 kHz has: what a file may grow to while it is collected, for each allowed second."""
_MAX_FILE_EXTRA_BYTES = 4 << 20
"""Room for the picture in an MP3."""

_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_COMPRESSED = {
    # format: container, codec, rates, bits per second, options, mimetype
    "opus": ("ogg", "libopus", _OPUS_RATES_HZ, 32_000, {"application": "voip", "compression_level": "5"}, "audio/ogg"),
    "mp3": ("mp3", "libmp3lame", _MP3_RATES_HZ, 64_000, {"compression_level": "7"}, "audio/mpeg"),
}
FORMATS = ("wav", "pcm", *_COMPRESSED)


def decode(
    body: bytes, content_type: str = "", sample_rate: int | None = None, max_duration_s: float = MAX_DURATION_S
) -> bytes:
    """Return the PCM16 mono at SPEECH_RATE_HZ of a whole upload.

    sample_rate: of raw samples whose Content-Type has no rate; anything else knows its own.
    Raises BadAudio, UnsupportedAudio, AudioTooLarge.
    """
    decoder = StreamDecoder(content_type, sample_rate, max_duration_s)
    return decoder.feed(body) + decoder.finish()


def encode(pcm16: bytes, sample_rate: int, format: str, to_hz: int | None = None) -> tuple[bytes, str]:
    """Return the audio as a file of `format`, and its mimetype.

    to_hz: the rate that the device wants; Opus and MP3 take the next one that they know.  `pcm` is PCM16 without
    a header under `audio/pcm;rate=N`: audio/L16 would promise big-endian.  Raises BadRequest.
    """
    rate = sample_rate if to_hz is None else to_hz
    if format not in FORMATS:
        raise BadRequest(f"format is {format!r}; allowed is {', '.join(FORMATS)}")
    if not MIN_PLAY_RATE_HZ <= rate <= MAX_PLAY_RATE_HZ:
        raise BadRequest(f"rate is {rate}; allowed is {MIN_PLAY_RATE_HZ} to {MAX_PLAY_RATE_HZ} Hz")
    if format in _COMPRESSED:
        return _compress(pcm16, sample_rate, rate, format)
    played = resample(pcm16, sample_rate, rate)
    return (write_wav(played, rate), "audio/wav") if format == "wav" else (played, f"audio/pcm;rate={rate}")


class StreamDecoder:
    """Decodes an upload as it arrives: raw samples and WAV at once, other files when they are whole."""

    def __init__(
        self, content_type: str = "", sample_rate: int | None = None, max_duration_s: float = MAX_DURATION_S
    ) -> None:
        self._content_type = content_type
        self._sample_rate = sample_rate
        self._max_duration_s = max_duration_s
        self._head = b""
        self._source: _Source | None = None
        self._has_sound = False

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the body, any number; return the PCM16 mono at SPEECH_RATE_HZ that is ready.

        Raises BadAudio, UnsupportedAudio, AudioTooLarge as soon as it can be told.
        """
        if self._source is None:
            self._head += chunk
            if len(self._head) < HEAD_BYTES:
                return b""
            self._source, chunk = self._open_source(), self._head
            self._head = b""
        return self._note(self._source.feed(chunk))

    def finish(self) -> bytes:
        """Return the rest. Raises BadAudio for a body that never became sound, and what `feed` raises."""
        first = b""
        if self._source is None:
            if len(self._head) < BYTES_PER_SAMPLE:
                raise BadAudio(f"the body has {len(self._head)} bytes, so no sound: send {KNOWN}; {HOW_TO_SEND_RAW}")
            self._source = self._open_source()
            first = self._note(self._source.feed(self._head))
        rest = self._note(self._source.finish())
        if not self._has_sound:
            raise BadAudio("the sound has no samples: was the recording stopped before it began?")
        return first + rest

    def _open_source(self) -> _Source:
        kind = judge(self._head[:HEAD_BYTES], self._content_type, self._sample_rate)
        if isinstance(kind, WavFormat):
            return _SampleSource(kind, self._max_duration_s)
        return _WavSource(self._max_duration_s) if kind == "wav" else _FileSource(self._max_duration_s)

    def _note(self, pcm16: bytes) -> bytes:
        self._has_sound = self._has_sound or bool(pcm16)
        return pcm16


class _Source(Protocol):
    def feed(self, chunk: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _SampleSource:
    """Samples of a known format; a frame cut in two waits for its other half."""

    def __init__(self, fmt: WavFormat, max_duration_s: float, max_bytes: int | None = None) -> None:
        self._fmt = fmt
        self._max_duration_s = max_duration_s
        self._bytes_left = max_bytes
        self._n_frames = 0
        self._rest = b""
        self._resampler = StreamResampler(fmt.sample_rate, SPEECH_RATE_HZ)

    def feed(self, chunk: bytes) -> bytes:
        if self._bytes_left is not None:
            chunk = chunk[: self._bytes_left]
            self._bytes_left -= len(chunk)
        data = self._rest + chunk if self._rest else chunk
        n_frames = len(data) // self._fmt.frame_bytes
        self._rest = data[n_frames * self._fmt.frame_bytes :]
        self._n_frames += n_frames
        if self._n_frames > self._max_duration_s * self._fmt.sample_rate:
            raise AudioTooLarge(f"the sound is longer than {self._max_duration_s:g} s: send it in shorter utterances")
        if not n_frames:
            return b""
        return self._resampler.feed(to_mono_pcm16(data[: n_frames * self._fmt.frame_bytes], self._fmt))

    def finish(self) -> bytes:
        return self._resampler.flush()


class _WavSource:
    """A WAV: collected up to its data chunk, then samples; one that needs a codec is a file like others."""

    def __init__(self, max_duration_s: float) -> None:
        self._max_duration_s = max_duration_s
        self._held = bytearray()
        self._source: _Source | None = None

    def feed(self, chunk: bytes) -> bytes:
        if self._source is not None:
            return self._source.feed(chunk)
        if self._held:
            self._held += chunk
        body = self._held or chunk  # a WAV that comes whole is not copied
        header = find_data(body)
        if header is None:
            self._held = self._held or bytearray(chunk)
            return b""
        if not header.format.is_plain:
            self._source = _FileSource(self._max_duration_s)
            return self._source.feed(bytes(body))
        self._source = _SampleSource(header.format, self._max_duration_s, header.data_bytes)
        return self._source.feed(bytes(memoryview(body)[header.data_offset :]))

    def finish(self) -> bytes:
        if self._source is None:
            raise BadAudio(f"the WAV of {len(self._held)} bytes ends before its data chunk: send the whole file")
        return self._source.finish()


class _FileSource:
    """A file that is decoded when it is whole."""

    def __init__(self, max_duration_s: float) -> None:
        self._max_duration_s = max_duration_s
        self._body = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        self._body += chunk
        max_bytes = round(_MAX_FILE_EXTRA_BYTES + _MAX_FILE_BYTES_PER_S * self._max_duration_s)
        if len(self._body) > max_bytes:
            raise AudioTooLarge(f"the file is larger than {max_bytes} bytes: send it in shorter utterances")
        return b""

    def finish(self) -> bytes:
        return decode_container(bytes(self._body), self._max_duration_s)


def _compress(pcm16: bytes, sample_rate: int, wanted_hz: int, format: str) -> tuple[bytes, str]:
    import av
    import numpy as np

    container_format, codec, rates_hz, bit_rate, options, mimetype = _COMPRESSED[format]
    rate = next(known for known in rates_hz if known >= wanted_hz)
    samples = np.frombuffer(resample(pcm16, sample_rate, rate), "<i2")
    target = io.BytesIO()
    with av.open(target, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options=options)
        stream.bit_rate = bit_rate
        if len(samples):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue(), mimetype
