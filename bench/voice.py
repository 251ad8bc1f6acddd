"""What the microphones of a measurement send: a question again and again, and the noise of a room between."""

from __future__ import annotations

import io
import math
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from app.audio.endpointing import Endpoint, Endpointer
from app.audio.pcm import BYTES_PER_SAMPLE, FULL_SCALE, SPEECH_RATE_HZ, level_dbfs
from app.audio.vad import VoiceDetector, load_detector
from app.audio.windows import WINDOW_BYTES, WINDOW_SAMPLES
from app.config import ListeningConfig
from app.conversation.microphone import endpoint_rules
from app.tts.flite import FliteTts

QUESTION = "What is the weather like tomorrow?"
VOICE: Final = "slt"
BEFORE_S = 0.3
"""Of a cycle, before the question."""
SETTLE_S = 1.0
"""A detector listens to the room for so long before it is asked."""
N_CYCLES = 6
"""So many cycles in a row must end alike."""
STEP_S = 0.01
VOICED_DBFS = -40.0
"""The question ends with its last step of STEP_S that is louder."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """What a microphone sends over and over; frames are PCM16 at SPEECH_RATE_HZ."""

    frame_s: float
    frame_samples: int
    frames: list[bytes]
    "The question, and the room until it is asked again."
    room: list[bytes]
    "As many frames without the question."
    first_voiced: int
    "Number of the first frame with some of the question."
    last_voiced: int
    "Number of the last one."
    deciding: dict[int, int]
    """Number of the frame with which the silence after the question is complete.

    By where the detector's windows lie: the samples before the cycle, modulo WINDOW_SAMPLES.  Where it is not sure, and
    decides now with one window and now with the next, there is none.
    """
    silence_s: float
    "So much silence ends the question, by the configuration."


def make_cycle(
    listening: ListeningConfig, every_s: float, frame_ms: int, room_dbfs: float, recording: Path | None
) -> Cycle:
    """Return a cycle of about `every_s`: a whole number of the detector's windows, so that all its turns are alike."""
    question = trim(read_recording(recording) if recording else speak_question())
    frame_samples = SPEECH_RATE_HZ * frame_ms // 1000
    n_alignments = WINDOW_SAMPLES // math.gcd(WINDOW_SAMPLES, frame_samples)
    n_frames = max(1, round(every_s * 1000 / frame_ms / n_alignments)) * n_alignments
    chance = np.random.default_rng(7)
    noise = chance.standard_normal(n_frames * frame_samples) * FULL_SCALE * 10 ** (room_dbfs / 20)
    room = noise.astype("<i2")
    start, stop = int(BEFORE_S * SPEECH_RATE_HZ), int(BEFORE_S * SPEECH_RATE_HZ) + len(question)
    if stop + SPEECH_RATE_HZ * (listening.silence_ms / 1000 + SETTLE_S) > len(room):
        raise SystemExit(f"a question of {len(question) / SPEECH_RATE_HZ:.1f} s cannot be asked every {every_s:g} s")
    sound = noise.copy()
    sound[start:stop] += question
    pcm16, room_pcm16 = sound.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes(), room.tobytes()
    detector = load_detector(listening.vad)
    deciding = {}
    for number in range(n_alignments):
        n_before = number * frame_samples % WINDOW_SAMPLES
        ends = find_ends(detector, listening, pcm16, room_pcm16, n_before)
        if len(ends) == 1:
            deciding[n_before] = math.ceil(ends.pop() / frame_samples) - 1
    if not deciding:
        raise SystemExit(f"{detector.name} is never sure where the question ends; another --speech may do")
    size = frame_samples * BYTES_PER_SAMPLE
    return Cycle(
        frame_ms / 1000,
        frame_samples,
        _cut(pcm16, size),
        _cut(room_pcm16, size),
        start // frame_samples,
        (stop - 1) // frame_samples,
        deciding,
        listening.silence_ms / 1000,
    )


def find_ends(
    detector: VoiceDetector, listening: ListeningConfig, cycle_pcm16: bytes, room_pcm16: bytes, n_before: int
) -> set[int]:
    """Return after how many samples of a cycle the silence after its question is complete.

    There are several where the detector's memory of what was before makes a difference.
    n_before: samples before the cycle, modulo WINDOW_SAMPLES.
    """
    settling = WINDOW_SAMPLES * round(SETTLE_S * SPEECH_RATE_HZ / WINDOW_SAMPLES) + n_before
    heard = room_pcm16[-settling * BYTES_PER_SAMPLE :] + N_CYCLES * cycle_pcm16
    stream, endpointer = detector.new_stream(), Endpointer(endpoint_rules(listening))
    ends = []
    for at in range(0, len(heard) - WINDOW_BYTES + 1, WINDOW_BYTES):
        probability = detector.probabilities([stream], [heard[at : at + WINDOW_BYTES]])[0]
        if endpointer.push(probability) is Endpoint.STOPPED:
            ended_at = (at + WINDOW_BYTES) // BYTES_PER_SAMPLE - settling
            ends.append(ended_at % (len(cycle_pcm16) // BYTES_PER_SAMPLE))
    if len(ends) != N_CYCLES:
        raise SystemExit(f"{detector.name} hears {len(ends)} utterances in {N_CYCLES}; another --speech may do")
    return set(ends)


def speak_question() -> bytes:
    """Return the question as flite speaks it: PCM16 at SPEECH_RATE_HZ."""
    flite = FliteTts(FliteTts.Config(voice=VOICE))
    flite.load()
    return b"".join(speech.pcm16 for speech in flite.synthesize(QUESTION))


def read_recording(path: Path) -> bytes:
    """Return the sound of a WAV file: PCM16 at SPEECH_RATE_HZ."""
    with wave.open(io.BytesIO(path.read_bytes())) as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (SPEECH_RATE_HZ, 1, BYTES_PER_SAMPLE):
            raise SystemExit(f"{path}: must be PCM16 mono at {SPEECH_RATE_HZ} Hz")
        return wav.readframes(wav.getnframes())


def trim(pcm16: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the samples up to the last that is voiced, at full scale."""
    steps = _cut(pcm16, int(STEP_S * SPEECH_RATE_HZ) * BYTES_PER_SAMPLE)
    while steps and level_dbfs(steps[-1]) < VOICED_DBFS:
        steps.pop()
    return np.frombuffer(b"".join(steps), "<i2").astype(np.float64)


def _cut(pcm16: bytes, size: int) -> list[bytes]:
    return [pcm16[at : at + size] for at in range(0, len(pcm16), size)]
