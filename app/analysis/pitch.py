"""The pitch of a voice over time, by YIN."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

HOP_S = 0.01
"""One pitch every 10 ms."""

_RATE_HZ = 8_000
_PASS_HZ, _STOP_HZ = 900.0, 1_100.0
"""Noise above the first few harmonics only blurs the period."""
_FRAMES_AT_ONCE = 512
"""Bounds the memory of long utterances."""
_TOLERANCE = 0.1
"""How much shallower than the deepest a dip may be and still be taken for the period."""
_STEADY_FRAMES = 4
_MAX_JUMP_OCTAVES = 0.15
"""A voice glides: between two frames it changes less, and it keeps on for a few of them.  Noise and slips do not."""


def track_pitch(
    samples: Samples, sample_rate: int, *, min_hz: float, max_hz: float, max_aperiodicity: float
) -> npt.NDArray[np.float64]:
    """Return the pitch in Hz every HOP_S, NaN where there is none.

    samples: float32, shape (n,), [-1, 1].  Returns float64, shape (ceil(n / sample_rate / HOP_S),); entry i is centred
    on HOP_S * (i + 0.5).  A frame has a pitch when its normalised difference dips below `max_aperiodicity`.
    Source: de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111 (2002).
    """
    n_frames = -(-len(samples) // round(sample_rate * HOP_S))
    low = _limit_band(samples, sample_rate)
    max_lag = int(np.ceil(_RATE_HZ / min_hz)) + 1
    n_window = 2 * max_lag
    "Two of the longest periods; the frame is this and the longest lag."
    hop = round(_RATE_HZ * HOP_S)
    before = (n_window + max_lag - hop) // 2
    padded = np.pad(low, (before, n_window + max_lag + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_window + max_lag)[::hop][:n_frames]
    pitches = np.full(n_frames, np.nan)
    for start in range(0, n_frames, _FRAMES_AT_ONCE):
        difference = _normalise(_difference(frames[start : start + _FRAMES_AT_ONCE], n_window, max_lag))
        periods = _find_periods(difference, int(_RATE_HZ / max_hz), max_aperiodicity)
        pitches[start : start + len(periods)] = _RATE_HZ / periods
    pitches[(pitches < min_hz) | (pitches > max_hz)] = np.nan
    return _drop_jumps(pitches)


def _limit_band(samples: Samples, sample_rate: int) -> Samples:
    """Resample to _RATE_HZ and keep what is below _PASS_HZ, with a linear slope to _STOP_HZ."""
    n_padded = 1 << max(1, len(samples) - 1).bit_length()
    spectrum = np.fft.rfft(samples, n_padded)
    n_low = n_padded * _RATE_HZ // sample_rate
    frequencies = np.arange(n_low // 2 + 1) * (sample_rate / n_padded)
    gain = np.clip((_STOP_HZ - frequencies) / (_STOP_HZ - _PASS_HZ), 0, 1)
    low = np.fft.irfft(spectrum[: len(gain)] * gain, n_low) * (n_low / n_padded)
    return low[: -(-len(samples) * _RATE_HZ // sample_rate)].astype(np.float32)


def _difference(frames: Samples, n_window: int, max_lag: int) -> npt.NDArray[np.float64]:
    """Return the squared difference of each frame's window and itself `lag` later (YIN, equation 6), per lag."""
    n_fft = 1 << (frames.shape[1] - 1).bit_length()
    whole, window = np.fft.rfft(frames, n_fft), np.fft.rfft(frames[:, :n_window], n_fft)
    products = np.fft.irfft(whole * window.conj(), n_fft)[:, : max_lag + 1]
    squares = np.cumsum(np.pad(frames.astype(np.float64) ** 2, ((0, 0), (1, 0))), axis=1)
    energies = squares[:, n_window:] - squares[:, : max_lag + 1]
    return np.maximum(energies[:, :1] + energies - 2 * products, 0)


def _normalise(difference: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divide by the mean of all shorter lags (YIN, equation 8): lag 0 is no minimum then, and 1 the usual height."""
    lags = np.arange(1, difference.shape[1])
    total = np.cumsum(difference[:, 1:], axis=1)
    normalised = np.ones_like(difference)
    np.divide(difference[:, 1:] * lags, total, out=normalised[:, 1:], where=total > 1e-9)
    return normalised


def _find_periods(difference: npt.NDArray[np.float64], min_lag: int, threshold: float) -> npt.NDArray[np.float64]:
    """Return each frame's period in samples of _RATE_HZ, between samples by a parabola; NaN where there is none.

    The first of the deep dips is taken, not the deepest: twice the period fits as well as the period.  How deep is
    measured from the deepest, not from zero as in the paper, because a strong formant dips early, but not as far.
    """
    inner = difference[:, min_lag:-1]
    limit = np.minimum(inner.min(axis=1, keepdims=True) + _TOLERANCE, threshold)
    is_dip = (inner < limit) & (inner <= difference[:, min_lag - 1 : -2]) & (inner < difference[:, min_lag + 1 :])
    rows = np.arange(len(difference))
    lags = np.argmax(is_dip, axis=1) + min_lag
    left, middle, right = (difference[rows, lags + step] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.divide((left - right) / 2, bend, out=np.zeros_like(bend), where=bend > 0)
    return np.where(is_dip.any(axis=1), lags + np.clip(shift, -0.5, 0.5), np.nan)


def _drop_jumps(pitches: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keep the pitches that belong to _STEADY_FRAMES or more without a jump; NaN for the others."""
    if len(pitches) < _STEADY_FRAMES:
        return np.full(len(pitches), np.nan)
    is_smooth = np.abs(np.diff(np.log2(pitches))) < _MAX_JUMP_OCTAVES
    n_links = _STEADY_FRAMES - 1
    is_run = np.lib.stride_tricks.sliding_window_view(is_smooth, n_links).all(axis=1)
    is_steady = np.convolve(is_run, np.ones(_STEADY_FRAMES)) > 0.5
    return np.where(is_steady, pitches, np.nan)
