"""How something was said: level, pitch, pace and pauses, measured offline with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.analysis.pitch import track_pitch
from app.analysis.timing import (
    HOP_S,
    SPEECH_SMOOTHING_S,
    SYLLABLE_SMOOTHING_S,
    SpeechTiming,
    count_syllables,
    find_speech,
    keep_vowel_band,
    measure_envelope,
)
from app.audio.pcm import SPEECH_RATE_HZ
from app.errors import ConfigError

_FULL_SCALE = 32_768.0
_MIN_VOICED_FRAMES = 5
"""Fewer frames with a pitch than this are chance."""


class ProsodyAnalysis:
    """Measures the prosody of an utterance; holds no state, so that any number of threads may call it."""

    @dataclass(frozen=True)
    class Config:
        """What counts as pitch, silence, pause and syllable."""

        min_pitch_hz: float = 65.0
        "Lowest pitch looked for, in Hz; above mains hum."
        max_pitch_hz: float = 500.0
        "Highest pitch looked for, in Hz, at most 800."
        max_aperiodicity: float = 0.45
        "How unlike its neighbour a period may be in a voiced frame: 0 equal, 1 unrelated."
        silence_dbfs: float = -55.0
        "What is quieter is silence, in dB below full scale."
        silence_drop_db: float = 25.0
        "What is this far below the utterance's loud parts is silence, in dB."
        min_pause_s: float = 0.25
        "Shorter silences are part of the speech, in seconds."
        min_syllable_dip_db: float = 2.0
        "How far the level falls and rises again between two syllables, in dB."

        def __post_init__(self) -> None:
            if not 40 <= self.min_pitch_hz < self.max_pitch_hz <= 800:
                raise ConfigError(
                    f"prosody min_pitch_hz and max_pitch_hz: are {self.min_pitch_hz} and {self.max_pitch_hz}; "
                    f"allowed is 40 to 800, the lower one first"
                )

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> None:
        """Nothing to load."""

    def analyse(self, pcm16: bytes) -> Mapping[str, float | None]:
        """Return level, pitch, pace and pauses of an utterance; None where one cannot be told.

        pcm16: mono at SPEECH_RATE_HZ.  `level_dbfs` is the root mean square; a full-scale sine has -3.
        `pitch_hz` is the median, the range from the 10th to the 90th percentile; `voiced_ratio` the share of `speech_s`
        with a pitch.  `syllables_per_s` is an estimate over `speech_s`, that is without pauses, and some 20 % low in
        fluent speech.
        """
        config = self._config
        samples = np.frombuffer(pcm16, "<i2", len(pcm16) // 2).astype(np.float32) / _FULL_SCALE
        envelope = measure_envelope(samples, SPEECH_RATE_HZ, SPEECH_SMOOTHING_S)
        timing = find_speech(
            envelope,
            silence_dbfs=config.silence_dbfs,
            silence_drop_db=config.silence_drop_db,
            min_pause_s=config.min_pause_s,
        )
        pitches = track_pitch(
            samples,
            SPEECH_RATE_HZ,
            min_hz=config.min_pitch_hz,
            max_hz=config.max_pitch_hz,
            max_aperiodicity=config.max_aperiodicity,
        )
        pitches[~_mark_speech(timing, len(pitches))] = np.nan
        vowels = measure_envelope(keep_vowel_band(samples, SPEECH_RATE_HZ), SPEECH_RATE_HZ, SYLLABLE_SMOOTHING_S)
        n_syllables = count_syllables(vowels, ~np.isnan(pitches), timing, config.min_syllable_dip_db)
        return {
            "duration_s": len(samples) / SPEECH_RATE_HZ,
            **_describe_level(samples),
            **_describe_pitch(pitches, timing),
            **_describe_timing(timing, n_syllables),
        }

    def close(self) -> None:
        """Nothing to give back."""


def _mark_speech(timing: SpeechTiming, n_steps: int) -> npt.NDArray[np.bool_]:
    is_speech = np.zeros(n_steps, bool)
    for start, end in timing.spans:
        is_speech[start:end] = True
    return is_speech


def _describe_level(samples: npt.NDArray[np.float32]) -> dict[str, float | None]:
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    if peak == 0.0:
        return {"level_dbfs": None, "peak_dbfs": None}
    level = float(np.sqrt(np.mean(samples**2, dtype=np.float64)))
    return {"level_dbfs": _round(20 * np.log10(level)), "peak_dbfs": _round(20 * np.log10(peak))}


def _describe_pitch(pitches: npt.NDArray[np.float64], timing: SpeechTiming) -> dict[str, float | None]:
    voiced = pitches[~np.isnan(pitches)]
    n_speech = sum(end - start for start, end in timing.spans)
    ratio = _round(len(voiced) / n_speech) if n_speech else None
    if len(voiced) < _MIN_VOICED_FRAMES:
        return {"pitch_hz": None, "pitch_range_semitones": None, "voiced_ratio": ratio}
    low, middle, high = np.percentile(voiced, (10, 50, 90))
    return {
        "pitch_hz": _round(middle),
        "pitch_range_semitones": _round(12 * np.log2(high / low)),
        "voiced_ratio": ratio,
    }


def _describe_timing(timing: SpeechTiming, n_syllables: int) -> dict[str, float | None]:
    speech_s = HOP_S * sum(end - start for start, end in timing.spans)
    pauses_s = [HOP_S * (end - start) for start, end in timing.pauses]
    has_speech = speech_s > 0
    return {
        "speech_s": _round(speech_s),
        "syllables_per_s": _round(n_syllables / speech_s) if has_speech and n_syllables else None,
        "pause_count": float(len(pauses_s)) if has_speech else None,
        "pause_total_s": _round(sum(pauses_s)) if has_speech else None,
        "longest_pause_s": _round(max(pauses_s, default=0.0)) if has_speech else None,
    }


def _round(value: float | np.floating) -> float:
    """Drop digits that mean nothing."""
    return round(float(value), 3)
