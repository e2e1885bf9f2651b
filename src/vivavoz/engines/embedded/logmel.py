"""Whisper's log-mel features in numpy: what the turn model was trained on.

The parameters are those of OpenAI's Whisper (16 kHz, 25 ms Hann windows every 10 ms, 80 mel bands on Slaney's
scale); the formulas are the published ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 16_000
_FFT = 400
_HOP = 160
_BANDS = 80


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale to Hz: linear below 1 kHz (15 mel), logarithmic above."""
    return np.where(mel < 15.0, mel * (200.0 / 3.0), 1000.0 * np.exp((mel - 15.0) * (np.log(6.4) / 27.0)))


def _filterbank() -> NDArray[np.float64]:
    """(80, 201): triangles of equal area."""
    top = 15.0 + np.log(RATE / 2 / 1000.0) / (np.log(6.4) / 27.0)
    edges = _hz(np.linspace(0.0, top, _BANDS + 2))
    bins = np.linspace(0.0, RATE / 2, _FFT // 2 + 1)
    widths = np.diff(edges)
    rising = (bins - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins) / widths[1:, None]
    triangles = np.clip(np.minimum(rising, falling), 0.0, None)
    return triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]


_BANK = _filterbank()
_WINDOW = np.hanning(_FFT + 1)[:-1]


def log_mel(samples: Samples) -> Samples:
    """(80, n / 160) features of ``n`` samples at 16 kHz, the signal normalised first (mean 0, variance 1)."""
    signal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    padded = np.pad(signal.astype(np.float64), _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][:-1]
    power = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)) ** 2
    logs = np.log10(np.maximum(_BANK @ power.T, 1e-10))
    features: Samples = ((np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
    return features
