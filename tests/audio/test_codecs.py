"""Uploads of every kind, and replies in every format."""

import io
import random
import re
import struct
from collections.abc import Callable
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.codecs import FORMATS, StreamDecoder, decode, encode
from app.audio.pcm import duration_s, is_silent, level_dbfs, to_samples, tone
from app.audio.wav import write_wav
from app.errors import AudioTooLarge, BadAudio, BadRequest, RequestError, UnsupportedAudio
from tests.audio.files import EXTENSIBLE, encode_with, make_chunk, make_samples, make_wav, pack_samples
from tests.speech import every_recording, read_recording

BEEP = tone(440, 0.5)
FLAC_BLOCK = 4_608

# container and codec as FFmpeg names them, the rate, the number of channels
FILES = {
    "flac": ("flac", "flac", 16_000, 1),
    "ogg vorbis": ("ogg", "vorbis", 44_100, 2),
    "ogg opus": ("ogg", "libopus", 48_000, 1),
    "webm": ("webm", "libopus", 48_000, 1),
    "mp3": ("mp3", "libmp3lame", 44_100, 1),
    "m4a": ("mp4", "aac", 44_100, 1),
    "aac": ("adts", "aac", 44_100, 1),
    "aiff": ("aiff", "pcm_s16be", 22_050, 2),
    "matroska": ("matroska", "pcm_s16le", 16_000, 1),
    "adpcm wav": ("wav", "adpcm_ima_wav", 16_000, 1),
    "rf64": ("wav", "pcm_s16le", 16_000, 1),
}


def make_file(kind: str, length_s: float = 0.5) -> bytes:
    """Make a beep in a file of this kind."""
    container, codec, rate, channels = FILES[kind]
    mono = np.frombuffer(tone(440, length_s, rate), "<i2")
    options = {"rf64": "always"} if kind == "rf64" else {}
    return encode_with(container, codec, np.repeat(mono, channels).tobytes(), rate, channels, options)


def feed_in_pieces(decoder: StreamDecoder, body: bytes, cuts: list[int]) -> bytes:
    """Decode a body that is cut at these places."""
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [decoder.feed(body[a:b]) for a, b in pairwise(edges)]
    return b"".join(pieces) + decoder.finish()


# ---- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_is_known_by_its_bytes(kind: str) -> None:
    """A file sounds the same with a wrong label or none."""
    body = make_file(kind)
    pcm16 = decode(body)
    assert duration_s(pcm16, 16_000) == pytest.approx(0.5, abs=0.1)
    assert level_dbfs(pcm16) == pytest.approx(level_dbfs(BEEP), abs=1.5)
    for content_type in ("application/x-www-form-urlencoded", "application/octet-stream", "audio/wav", "audio/mpeg"):
        assert decode(body, content_type) == pcm16


@pytest.mark.parametrize(
    "content_type", ["", "audio/wav", "application/octet-stream", "video/webm", "audio/L16;rate=8000"]
)
def test_a_wav_of_the_right_rate_passes_untouched(content_type: str) -> None:
    """What is already PCM16 mono at 16 kHz is not changed, whatever the label and ?rate= say."""
    assert decode(write_wav(BEEP, 16_000), content_type) == BEEP
    assert decode(write_wav(BEEP, 16_000), content_type, sample_rate=44_100) == BEEP


@pytest.mark.parametrize(
    ("content_type", "sample_rate", "n_expected"),
    [
        ("audio/L16", None, 1_000),
        ("audio/l16; rate=8000", None, 2_000),
        ("audio/L16;rate=16000;channels=2", None, 500),
        ("audio/L16;channels=2;rate=32000", None, 250),
        ("audio/pcm;rate=48000", None, 333),
        ("audio/pcm", 32_000, 500),
        ("audio/pcm;rate=8000", 32_000, 2_000),
        ("audio/x-raw, layout=(string)interleaved, rate=(int)8000, format=(string)S16LE, channels=(int)1", None, 2_000),
        ('audio/x-raw;rate="8000"', None, 2_000),
        ("audio/x-wav; codec=audio/pcm; samplerate=8000", None, 2_000),
        ("application/octet-stream", None, 1_000),
        ("application/octet-stream", 8_000, 2_000),
        ("application/x-www-form-urlencoded", 8_000, 2_000),
        ("audio/wav", 8_000, 2_000),
        ("something/else", 8_000, 2_000),
        ("", 8_000, 2_000),
    ],
)
def test_raw_samples_are_read_by_label_and_rate(content_type: str, sample_rate: int | None, n_expected: int) -> None:
    """A thousand raw samples become as many as the rate and the channels say; the label's rate goes before ?rate=."""
    assert len(decode(tone(300, 1_000 / 16_000), content_type, sample_rate)) == 2 * n_expected


def test_l16_is_little_endian() -> None:
    """The bytes of audio/L16 are taken as devices send them."""
    assert decode(BEEP, "audio/L16;rate=16000") == BEEP


def test_stereo_is_averaged() -> None:
    """Both sides are heard at half their weight."""
    frames = np.tile(np.array([[1_000, 3_000]], "<i2"), (1_600, 1)).tobytes()
    assert set(np.frombuffer(decode(make_wav(frames, channels=2)), "<i2").tolist()) == {2_000}
    assert set(np.frombuffer(decode(encode_with("flac", "flac", frames, channels=2)), "<i2").tolist()) <= {
        1_999,
        2_000,
        2_001,
    }


def test_samples_near_zero_are_no_mpeg() -> None:
    """Quiet raw samples begin with FF FF, as an MPEG frame might."""
    quiet = b"\xff\xff\xfe\xff" * 400
    assert decode(quiet, "application/octet-stream") == quiet
    assert decode(b"\xff\xfb\x90\x00" + quiet, "", sample_rate=16_000) == b"\xff\xfb\x90\x00" + quiet


@pytest.mark.parametrize("n_bytes", [1_601, 1_603])
def test_an_odd_last_byte_is_dropped(n_bytes: int) -> None:
    """Half a sample at the end is no error."""
    assert len(decode(bytes(n_bytes), "audio/L16")) == n_bytes - 1
    assert len(decode(make_wav(bytes(n_bytes)))) == n_bytes - 1


def test_a_file_cut_short_is_heard_as_far_as_it_goes() -> None:
    """A lost connection keeps what came before it."""
    for kind in ("flac", "mp3", "ogg opus", "webm"):
        body = make_file(kind, 4.0)
        assert 1 < duration_s(decode(body[: len(body) // 2]), 16_000) < 3


# ---- real recordings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", every_recording(quick_s=12))
def test_recordings_have_the_length_of_the_manifest(row: dict[str, str]) -> None:
    """Every recording of real people decodes whole, and none is called silent."""
    pcm16 = decode(read_recording(row["file"]))
    assert duration_s(pcm16, 16_000) == pytest.approx(float(row["seconds"]), abs=0.03)
    assert not is_silent(pcm16, 16_000)


def test_one_recording_sounds_alike_in_every_file() -> None:
    """Mono and stereo, 16, 24 and 32 bit, WAV, FLAC and AIFF of one recording give one sound."""
    plain = to_samples(decode(read_recording("sr_audio-mono-16-bit-44100Hz.flac")))
    for other in ("stereo-24-bit-44100Hz.flac", "stereo-32-bit-44100Hz.wav", "mono-16-bit-44100Hz.aiff"):
        samples = to_samples(decode(read_recording(f"sr_audio-{other}")))
        n = min(len(plain), len(samples))
        assert np.corrcoef(plain[:n], samples[:n])[0, 1] > 0.999


# ---- what is refused -------------------------------------------------------------------------------------------------

PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\nhttp://127.0.0.1:9/leak.mp3\n#EXT-X-ENDLIST\n",
    "hls file": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "ffconcat": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period></Period></MPD>',
}


@pytest.mark.parametrize("playlist", PLAYLISTS.values(), ids=PLAYLISTS)
def test_playlists_are_refused_as_text(playlist: bytes) -> None:
    """A playlist that names other files or hosts is not followed under any label."""
    for content_type in ("", "audio/mpeg", "audio/wav", "audio/mpegurl", "audio/L16", "video/mp4"):
        with pytest.raises(BadAudio, match="is text"):
            decode(playlist, content_type)


@pytest.mark.parametrize("playlist", PLAYLISTS.values(), ids=PLAYLISTS)
def test_playlists_do_not_pass_the_file_reader_either(playlist: bytes) -> None:
    """Were a playlist taken for a file, its format would still be refused."""
    with pytest.raises(BadAudio, match="no sound could be decoded"):
        decode(b"ID3" + playlist)
    with pytest.raises(BadAudio, match="no sound could be decoded"):
        decode(b"\x00" + playlist, "audio/mpeg")


@pytest.mark.parametrize(
    ("body", "content_type", "error", "reason"),
    [
        (b"", "", BadAudio, "0 bytes"),
        (b"", "application/json", BadAudio, "0 bytes"),
        (b"\x01", "audio/L16", BadAudio, "1 bytes"),
        (b"\x01\x02", "", BadAudio, "01 02.*rate="),
        (b"\x80\x81" * 800, "", BadAudio, r"80 81.*\?rate="),
        (b"\x80\x81" * 800, "application/x-www-form-urlencoded", BadAudio, r"\?rate="),
        (b"\x80\x81" * 800, "audio/wav", BadAudio, r"audio/wav.*\?rate="),
        (b"\x80\x81" * 800, "audio/mpeg", BadAudio, "no sound could be decoded"),
        (b"\x80\x81" * 800, "video/x-msvideo", UnsupportedAudio, "video/x-msvideo"),
        (b'{"text": "turn on the lamp"}', "application/json", UnsupportedAudio, "application/json"),
        (b'{"text": "turn on the lamp"}', "audio/wav", BadAudio, "is text, not audio/wav"),
        ("打开客厅的灯，然后告诉我时间。".encode(), "audio/L16", BadAudio, "is text"),
        (b"text=turn+on+the+lamp", "application/x-www-form-urlencoded", BadAudio, "is text.*text=turn"),
        (b"hello", "text/plain; charset=utf-8", UnsupportedAudio, "text/plain"),
        (b"<svg/>", "image/svg+xml", UnsupportedAudio, "image/svg"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "image/png", UnsupportedAudio, "image/png"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "audio/wav", BadAudio, "PNG image, not audio/wav"),
        (b"RIFF\x00\x00\x00\x00AVI " + bytes(99), "", BadAudio, "AVI"),
        (bytes(99), "audio/L16;rate=fast", BadAudio, "'fast'"),
        (bytes(99), "audio/L16;rate=12", BadAudio, "12 Hz"),
        (bytes(99), "audio/L16;rate=-16000", BadAudio, "-16000 Hz"),
        (bytes(99), "audio/L16;channels=99", BadAudio, "99 channels"),
        (bytes(99), "audio/pcm;bits=24", UnsupportedAudio, "24 bits"),
        (bytes(99), "audio/x-raw,format=F32LE", UnsupportedAudio, "f32le"),
        (make_wav(b"\x01\x02")[:40], "", BadAudio, "before its data"),
        (make_wav(b""), "", BadAudio, "no samples"),
        (make_wav(b"\x01"), "", BadAudio, "no samples"),
    ],
)
def test_what_is_no_sound_says_why(body: bytes, content_type: str, error: type[RequestError], reason: str) -> None:
    """Each refusal names what was seen and what would be taken."""
    with pytest.raises(error, match=reason):
        decode(body, content_type)


def test_a_bad_rate_parameter_is_named() -> None:
    """?rate= is checked like any other."""
    with pytest.raises(BadAudio, match="0 Hz"):
        decode(bytes(99), "", sample_rate=0)


def test_a_video_without_sound_is_refused() -> None:
    """A file that holds pictures only is of a kind that is not read."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as output:
        stream = output.add_stream("rawvideo", rate=1, width=16, height=16, pix_fmt="yuv420p")
        output.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(UnsupportedAudio, match="no sound in it"):
        decode(target.getvalue(), "video/x-matroska")


def test_a_text_is_refused_before_the_body_ends() -> None:
    """A stream that cannot become sound is refused at its first bytes."""
    with pytest.raises(UnsupportedAudio):
        StreamDecoder("text/html").feed(b"<html>" * 20)


# ---- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda n_more: bytes(32_000 + 2 * n_more),
        lambda n_more: make_wav(bytes(2 * (44_100 + n_more)), rate=44_100),
        lambda n_more: make_wav(bytes(8 * (1_000 + n_more)), channels=4, rate=1_000, data_size=0),
        lambda n_more: encode_with("flac", "flac", bytes(32_000 + 2 * n_more)),
    ],
)
def test_the_limit_is_exact(make: Callable[[int], bytes]) -> None:
    """One second is taken, one sample more is not."""
    assert len(decode(make(0), "audio/L16", max_duration_s=1.0)) == 32_000
    with pytest.raises(AudioTooLarge, match="longer than 1 s"):
        decode(make(1), "audio/L16", max_duration_s=1.0)


def test_an_endless_stream_is_refused_in_its_midst() -> None:
    """Nobody has to wait for the end of a body that is already too long."""
    decoder = StreamDecoder("audio/L16", max_duration_s=1.0)
    decoder.feed(bytes(32_000))
    with pytest.raises(AudioTooLarge):
        decoder.feed(bytes(2))


def test_an_endless_file_is_refused_in_its_midst() -> None:
    """A file is collected only as far as it could be short enough."""
    decoder = StreamDecoder(max_duration_s=1.0)
    decoder.feed(b"fLaC" + bytes(1 << 20))
    with pytest.raises(AudioTooLarge, match="bytes"):
        decoder.feed(bytes(8 << 20))


def test_ten_hours_in_a_small_file_are_refused() -> None:
    """Silence that is a small file is not decoded past the limit."""
    short = encode_with("flac", "flac", bytes(2 * 2 * FLAC_BLOCK), 48_000)
    first, second = (match.start() for match in re.finditer(rb"\xff\xf8", short))
    body = short[:first] + short[first:second] * (36_000 * 48_000 // FLAC_BLOCK)
    assert len(body) < 5_000_000
    with pytest.raises(AudioTooLarge, match="120 s"):
        decode(body)


def test_a_file_of_an_absurd_rate_is_refused() -> None:
    """At 1 Hz a few bytes would be hours."""
    body = bytearray(make_file("rf64"))
    struct.pack_into("<I", body, body.index(b"fmt ") + 12, 1)
    with pytest.raises(BadAudio, match="1 Hz"):
        decode(bytes(body))


# ---- streams ---------------------------------------------------------------------------------------------------------


@st.composite
def uploads(draw: st.DrawFn) -> tuple[bytes, str]:
    """Make a WAV or a raw body of any format, with its label."""
    tag, bits = draw(st.sampled_from([(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)]))
    channels, rate = draw(st.integers(1, 3)), draw(st.sampled_from([8_000, 16_000, 44_100]))
    samples = make_samples(draw(st.integers(40, 900)), channels)
    junk = draw(st.sampled_from([b"", make_chunk(b"LIST", b"abc"), make_chunk(b"JUNK", bytes(200))]))
    if draw(st.booleans()):
        return pack_samples(samples, 1, 16) + draw(st.binary(max_size=1)), f"audio/L16;rate={rate};channels={channels}"
    outer = draw(st.sampled_from([tag, EXTENSIBLE]))
    size = draw(st.sampled_from([None, 0, 50, 0xFFFFFFFF]))
    data = pack_samples(samples, tag, bits)
    return make_wav(
        data, outer, bits, channels, rate, subformat=tag, before_data=junk, data_size=size, after_data=junk
    ), ""


@given(uploads(), st.lists(st.integers(0, 3_000), max_size=12))
def test_chunks_do_not_change_what_is_heard(upload: tuple[bytes, str], cuts: list[int]) -> None:
    """However a body is cut on its way, the same bytes come out as from the whole."""
    body, content_type = upload
    assert feed_in_pieces(StreamDecoder(content_type), body, cuts) == decode(body, content_type)


@pytest.mark.parametrize("kind", ["flac", "mp3", "adpcm wav"])
def test_files_may_arrive_byte_by_byte(kind: str) -> None:
    """A file is decoded when it is whole."""
    body = make_file(kind, 0.2)
    assert feed_in_pieces(StreamDecoder(), body, list(range(len(body)))) == decode(body)


@pytest.mark.parametrize("body", [BEEP, write_wav(BEEP, 16_000), make_wav(BEEP, data_size=0xFFFFFFFF)])
def test_a_stream_is_heard_while_it_arrives(body: bytes) -> None:
    """Raw samples and WAV give their sound before the body ends."""
    decoder = StreamDecoder("audio/L16")
    heard = decoder.feed(body[:50]) + decoder.feed(body[50:4_000])
    assert heard == BEEP[: len(heard)]
    assert len(heard) >= 3_900


# ---- damage ----------------------------------------------------------------------------------------------------------


def damage(body: bytes, chance: random.Random) -> bytes:
    """Cut a file short, change bytes anywhere or in its header, or make noise of it."""
    hurt = bytearray(body)
    way = chance.choice(["cut", "bytes", "header", "noise"])
    if way == "cut":
        return body[: chance.randrange(len(body))]
    if way == "noise":
        return body[: chance.randrange(16)] + chance.randbytes(chance.randrange(1, 4_000))
    end = min(200, len(body)) if way == "header" else len(body)
    for _ in range(chance.randrange(1, 40)):
        hurt[chance.randrange(end)] = chance.randrange(256)
    return bytes(hurt)


def test_damage_is_never_worse_than_a_refusal() -> None:
    """Of a hundred damaged uploads each is either heard or refused as the caller's error."""
    chance = random.Random(20)
    bodies = [make_file(kind, 0.3) for kind in FILES]
    bodies += [write_wav(BEEP, 44_100), make_wav(pack_samples(make_samples(900, 2), 3, 64), 3, 64, 2)]
    labels = ["", "audio/wav", "audio/L16;rate=8000", "audio/mpeg", "application/octet-stream", "text/plain"]
    n_heard = 0
    for _ in range(100):
        try:
            pcm16 = decode(damage(chance.choice(bodies), chance), chance.choice(labels))
        except RequestError:
            continue
        n_heard += 1
        assert pcm16
        assert len(pcm16) % 2 == 0
    assert 25 < n_heard < 95


# ---- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("sample_rate", "to_hz"), [(8_000, None), (16_000, 8_000), (22_050, None), (22_050, 37_800), (48_000, 48_000)]
)
def test_a_reply_can_be_read_back(format: str, sample_rate: int, to_hz: int | None) -> None:
    """Whatever a device asks for, it gets the same sound, under a label that says what it is."""
    body, mimetype = encode(tone(440, 0.5, sample_rate), sample_rate, format, to_hz)
    heard = decode(body, mimetype)
    assert duration_s(heard, 16_000) == pytest.approx(0.5, abs=0.01)
    assert level_dbfs(heard) == pytest.approx(level_dbfs(BEEP), abs=1.0)


def test_replies_are_labelled() -> None:
    """Each format has its mimetype; raw samples say their rate."""
    types = {name: encode(BEEP, 16_000, name, 24_000)[1] for name in FORMATS}
    assert types == {"wav": "audio/wav", "pcm": "audio/pcm;rate=24000", "opus": "audio/ogg", "mp3": "audio/mpeg"}


def test_a_reply_as_it_is_stays_untouched() -> None:
    """Without a wish for another rate, WAV and PCM carry the very samples of the voice."""
    assert encode(BEEP, 22_050, "pcm") == (BEEP, "audio/pcm;rate=22050")
    assert encode(BEEP, 22_050, "wav") == (write_wav(BEEP, 22_050), "audio/wav")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("pcm16", [b"", b"\x01\x00"])
def test_next_to_nothing_can_be_encoded(format: str, pcm16: bytes) -> None:
    """A reply of no sample or one is no error."""
    assert isinstance(encode(pcm16, 16_000, format)[0], bytes)


def test_unknown_formats_and_rates_are_refused_with_the_known_ones() -> None:
    """The error lists what may be asked for."""
    with pytest.raises(BadRequest, match="'flac'; allowed is wav, pcm, opus, mp3"):
        encode(BEEP, 16_000, "flac")
    with pytest.raises(BadRequest, match="96000; allowed is 8000 to 48000"):
        encode(BEEP, 16_000, "wav", 96_000)
