"""Where an utterance has speech, pauses and syllables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Decibels = npt.NDArray[np.float64]
Spans = list[tuple[int, int]]
"""(first, one past the last) of the steps of an envelope."""

HOP_S = 0.01
_FLOOR_DB = -120.0
_VOWEL_BAND_HZ = (300.0, 2_500.0)
_STEADY_DB = 6.0
"""A sound that varies less is all speech, not half of it noise."""
_MIN_SPEECH_STEPS = 6
SPEECH_SMOOTHING_S = 0.02
"""Narrow, because it shortens every pause at both ends."""
SYLLABLE_SMOOTHING_S = 0.064
"""Wide enough to melt the pulses of a low voice, narrow enough to keep two syllables apart."""


@dataclass(frozen=True, slots=True)
class SpeechTiming:
    """What was told from the envelope, in steps of HOP_S."""

    spans: tuple[tuple[int, int], ...]
    "Speech, without the pauses."
    pauses: tuple[tuple[int, int], ...]
    "Silences between two spans."


def keep_vowel_band(samples: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float32]:
    """Leave what is between _VOWEL_BAND_HZ, where vowels stand out from hum, nasals and hissing consonants."""
    n_padded = 1 << max(1, len(samples) - 1).bit_length()
    spectrum = np.fft.rfft(samples, n_padded)
    first, last = (round(frequency / sample_rate * n_padded) for frequency in _VOWEL_BAND_HZ)
    spectrum[:first] = spectrum[last:] = 0
    return np.fft.irfft(spectrum, n_padded)[: len(samples)].astype(np.float32)


def measure_envelope(samples: npt.NDArray[np.float32], sample_rate: int, smoothing_s: float) -> Decibels:
    """Return the smoothed level every HOP_S in dBFS, at least -120.

    samples: float32, shape (n,), [-1, 1].  Returns float64, shape (ceil(n / sample_rate / HOP_S),).
    """
    hop = round(sample_rate * HOP_S)
    n_steps = -(-len(samples) // hop)
    padded = np.zeros(n_steps * hop, np.float32)
    padded[: len(samples)] = samples - samples.mean() if len(samples) else samples
    power = (padded.reshape(n_steps, hop) ** 2).mean(axis=1, dtype=np.float64)
    reach = round(smoothing_s / HOP_S / 2)
    window = np.hanning(2 * reach + 3)[1:-1]
    smooth = np.convolve(np.pad(power, reach), window / window.sum(), "valid") if n_steps else power
    return 10 * np.log10(np.maximum(smooth, 10 ** (_FLOOR_DB / 10)))


def find_speech(envelope: Decibels, *, silence_dbfs: float, silence_drop_db: float, min_pause_s: float) -> SpeechTiming:
    """Tell speech from pauses by level.

    A step is silent below `silence_dbfs`, or `silence_drop_db` below the utterance's loud parts; in a noisy recording,
    below the lower third of the way from its noise to its loud parts.  Silences shorter than `min_pause_s` belong to
    the speech, sounds shorter than 60 ms to the silence.
    """
    if not len(envelope):
        return SpeechTiming((), ())
    loud, noise = np.percentile(envelope, 99), np.percentile(envelope, 5)
    above_noise = min(noise + (loud - noise) / 3, loud - _STEADY_DB)
    threshold = max(silence_dbfs, loud - silence_drop_db, above_noise)
    runs = _join_close(_find_runs(envelope > threshold), round(min_pause_s / HOP_S))
    spans = [(start, end) for start, end in runs if end - start >= _MIN_SPEECH_STEPS]
    pauses = [(end, start) for (_, end), (start, _) in itertools.pairwise(spans)]
    return SpeechTiming(tuple(spans), tuple(pauses))


def count_syllables(
    envelope: Decibels, is_voiced: npt.NDArray[np.bool_], timing: SpeechTiming, min_dip_db: float
) -> int:
    """Estimate the number of syllables: voiced peaks of the vowel band's envelope with a dip between each two.

    Source: de Jong and Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically",
    Behavior Research Methods 41 (2009).
    """
    return sum(
        1
        for start, end in timing.spans
        for peak in _find_peaks(envelope[start:end], min_dip_db)
        if is_voiced[max(0, start + peak - 1) : start + peak + 2].any()
    )


def _find_peaks(envelope: Decibels, min_dip_db: float) -> list[int]:
    """Return the tops between which the envelope falls and rises again by at least `min_dip_db`."""
    peaks: list[int] = []
    top, bottom, is_rising = 0, 0, True
    for i, level in enumerate(envelope):
        if is_rising:
            if level > envelope[top]:
                top = i
            elif level < envelope[top] - min_dip_db:
                peaks.append(top)
                bottom, is_rising = i, False
        elif level < envelope[bottom]:
            bottom = i
        elif level > envelope[bottom] + min_dip_db:
            top, is_rising = i, True
    return [*peaks, top] if is_rising and len(envelope) else peaks


def _find_runs(is_on: npt.NDArray[np.bool_]) -> Spans:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_on, [False]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _join_close(runs: Spans, min_gap: int) -> Spans:
    joined: Spans = []
    for start, end in runs:
        if joined and start - joined[-1][1] < min_gap:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
