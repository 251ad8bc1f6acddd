"""Sound files that need a codec, read with FFmpeg's libraries: FLAC, Ogg, MP3, WebM, MP4, AAC, AIFF, AMR."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.audio.kinds import KNOWN
from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from app.audio.wav import check_format
from app.errors import AudioTooLarge, BadAudio, RequestError, UnsupportedAudio

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

# Nothing that reads other files or the network (playlists), and no codec of pictures.
_FORMATS = "wav,flac,ogg,mp3,matroska,webm,mov,mp4,m4a,aac,aiff,amr"
_CODECS = (
    "aac,alac,amrnb,amrwb,adpcm_ima_wav,adpcm_ms,flac,gsm_ms,mp2,mp2float,mp3,mp3float,opus,vorbis,"
    "pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,"
    "pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
_OPTIONS = {"format_whitelist": _FORMATS, "codec_whitelist": _CODECS}


def decode_container(body: bytes, max_duration_s: float) -> bytes:
    """Return PCM16 mono at SPEECH_RATE_HZ of a whole file; of a damaged one, what can be read.

    Raises BadAudio, UnsupportedAudio, and AudioTooLarge as soon as more than max_duration_s is decoded: ten hours of
    silence are a small file.
    """
    import av

    max_bytes = round(max_duration_s * SPEECH_RATE_HZ) * BYTES_PER_SAMPLE
    pcm16 = bytearray()
    failure: Exception | None = None
    try:
        with av.open(io.BytesIO(body), options=_OPTIONS, metadata_errors="ignore") as container:
            for piece in _read_speech(container):
                pcm16 += piece
                if len(pcm16) > max_bytes:
                    raise AudioTooLarge(f"the sound is longer than {max_duration_s:g} s: send it in shorter utterances")
    except RequestError:
        raise
    except Exception as error:  # damaged files raise nearly every type there is, from EOFError to UnicodeDecodeError
        failure = error
    if not pcm16:
        reason = f" ({failure})" if failure else ""
        raise BadAudio(f"no sound could be decoded from the {len(body)} bytes{reason}: is the file whole? Send {KNOWN}")
    return bytes(pcm16)


def _read_speech(container: InputContainer) -> Iterator[bytes]:
    from av import AudioResampler

    resampler = AudioResampler(format="s16", layout="mono", rate=SPEECH_RATE_HZ)
    has_frames = False
    for frame in _read_frames(container, _find_sound(container)):
        # A damaged header may say 1 Hz, and one frame of it would fill the memory.
        check_format(frame.sample_rate, frame.layout.nb_channels)
        has_frames = True
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray().tobytes()
    if has_frames:
        for resampled in resampler.resample(None):
            yield resampled.to_ndarray().tobytes()


def _find_sound(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise UnsupportedAudio(f"the {container.format.name} file has no sound in it: send {KNOWN}")
    stream = container.streams.audio[0]
    codec = stream.codec_context.name
    if codec not in _CODECS.split(","):
        raise UnsupportedAudio(
            f"the {container.format.name} file is encoded with {codec}, which is not read: send {KNOWN}"
        )
    stream.codec_context.thread_count = 1  # an utterance is decoded in milliseconds; threads would only cost
    return stream


def _read_frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    from av.error import InvalidDataError

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:  # one packet was hurt on its way; those behind it are sound
            continue
        yield from frames
