"""What an upload is: judged by its first bytes, and where they do not tell, by its label."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Literal

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from app.audio.wav import WavFormat, check_format
from app.errors import BadAudio, RequestError, UnsupportedAudio

HEAD_BYTES = 64
"""How much of a body `judge` wants to see."""

KNOWN = "WAV, FLAC, Ogg, MP3, WebM, MP4, AAC, AIFF or AMR"
HOW_TO_SEND_RAW = "for raw 16-bit PCM say its rate, with ?rate=16000 or Content-Type: audio/L16;rate=16000"

_WAV_MAGIC = re.compile(rb"RIFF....WAVE", re.DOTALL)
_CONTAINER_MAGIC = re.compile(
    rb"fLaC|OggS|ID3|\x1aE\xdf\xa3|#!AMR|....ftyp|FORM....AIF[FC]|(RIFX|RF64|BW64)....WAVE", re.DOTALL
)
# Two bytes in sync are not enough, samples near zero are FF FF too: layer, bit rate and sample rate must exist.
_MPEG_FRAME = re.compile(rb"\xff([\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x10-\x1b\x20-\xeb]|[\xf0\xf1\xf8\xf9])", re.DOTALL)
_FOREIGN_MAGIC = {
    "a PNG image": re.compile(rb"\x89PNG"),
    "a JPEG image": re.compile(rb"\xff\xd8\xff"),
    "a GIF image": re.compile(rb"GIF8"),
    "a WebP image": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "an AVI video": re.compile(rb"RIFF....AVI ", re.DOTALL),
    "a PDF document": re.compile(rb"%PDF"),
    "a ZIP archive": re.compile(rb"PK\x03\x04"),
    "gzip data": re.compile(rb"\x1f\x8b\x08"),
}
_MIN_TEXT_BYTES = 16
"""Fewer bytes of sound could be letters by chance."""

_NO_SOUND_TYPES = re.compile(
    r"(text|image|font|model)/.*|application/(json|xml|javascript|pdf|zip|gzip)|application/.*\+(json|xml)"
)
_RAW_TYPES = re.compile(r"audio/(l16|(x-)?pcm|(x-)?raw|x-raw-int|s16le)")
_MPEG_TYPES = re.compile(r"audio/(x-)?(mpeg3?|mpa|mp3|aacp?)")
_ANY_BYTES_TYPE = "application/octet-stream"
_RATE_NAMES = ("rate", "samplerate", "sample-rate", "sample_rate")


def judge(
    head: bytes, content_type: str = "", sample_rate: int | None = None
) -> WavFormat | Literal["wav", "container"]:
    """Return what the body is: `wav`, `container`, or the format of its raw samples.

    head: the first HEAD_BYTES, or all of a shorter body.  content_type: with its parameters.
    sample_rate: of raw samples whose Content-Type has no rate.
    Raises UnsupportedAudio for a label that names no sound, BadAudio for bytes that are none.
    """
    label, parameters = _parse_type(content_type)
    if _WAV_MAGIC.match(head):
        return "wav"
    if _CONTAINER_MAGIC.match(head):
        return "container"
    _refuse_no_sound(head, label)
    if _RAW_TYPES.fullmatch(label):
        return _raw_format(parameters, sample_rate)
    if _MPEG_TYPES.fullmatch(label) or (sample_rate is None and _MPEG_FRAME.match(head)):
        return "container"
    has_rate = sample_rate is not None or any(name in parameters for name in _RATE_NAMES)
    if has_rate or label == _ANY_BYTES_TYPE:
        return _raw_format(parameters, sample_rate)
    raise _describe_unknown(head, label)


def _refuse_no_sound(head: bytes, label: str) -> None:
    if _NO_SOUND_TYPES.fullmatch(label):
        raise UnsupportedAudio(f"Content-Type is {label}, which is no sound: send {KNOWN}; {HOW_TO_SEND_RAW}")
    claim = f", not {label} as its Content-Type says" if label.startswith(("audio/", "video/")) else ""
    for name, magic in _FOREIGN_MAGIC.items():
        if magic.match(head):
            raise BadAudio(f"the body is {name}{claim}: send {KNOWN}")
    if (text := _read_text(head)) is not None:
        raise BadAudio(f"the body is text{claim} (it starts with {text[:32]!r}): send {KNOWN}")


def _describe_unknown(head: bytes, label: str) -> RequestError:
    seen = f"the body starts with {head[:8].hex(' ')}"
    if label.startswith("video/"):
        return UnsupportedAudio(f"Content-Type is {label} and {seen}, a video that is not read: send {KNOWN}")
    claim = f" though its Content-Type is {label}" if label.startswith("audio/") else ""
    return BadAudio(f"{seen}, which is no sound file{claim}: send {KNOWN}; {HOW_TO_SEND_RAW}")


def _raw_format(parameters: dict[str, str], sample_rate: int | None) -> WavFormat:
    """Return the format of raw samples.

    They are little-endian under every label. RFC 2586 wants audio/L16 big-endian, but what devices record, and
    what `arecord` and every sound library gives them, is not.
    """
    if (bits := parameters.get("bits", "16")) != "16":
        raise UnsupportedAudio(f"the raw samples have {bits} bits; allowed is 16: send a WAV for other widths")
    if (layout := parameters.get("format", "s16le").lower()) != "s16le":
        raise UnsupportedAudio(f"the raw samples are of format {layout}; allowed is S16LE: send a WAV for others")
    fallback = str(SPEECH_RATE_HZ if sample_rate is None else sample_rate)
    rate = next((parameters[name] for name in _RATE_NAMES if name in parameters), fallback)
    channels = parameters.get("channels", "1")
    for name, value in (("rate", rate), ("channels", channels)):
        if not re.fullmatch(r"-?[0-9]{1,9}", value):
            raise BadAudio(f"the {name} of the raw samples is {value!r}; allowed is a whole number")
    check_format(int(rate), int(channels))
    return WavFormat("int", BYTES_PER_SAMPLE, int(channels), int(rate))


def _parse_type(content_type: str) -> tuple[str, dict[str, str]]:
    """Split `audio/L16;rate=16000`; also `audio/x-raw, rate=(int)16000`, as GStreamer writes it."""
    label, *rest = re.split("[;,]", content_type)
    pairs = (part.partition("=") for part in rest)
    return label.strip().lower(), {
        name.strip().lower(): re.sub(r"^\(\w+\)", "", value.strip().strip('"')) for name, _, value in pairs
    }


def _read_text(head: bytes) -> str | None:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    is_text = all(character in "\t\r\n" or unicodedata.category(character) != "Cc" for character in text)
    return text if is_text and len(head) >= _MIN_TEXT_BYTES else None
