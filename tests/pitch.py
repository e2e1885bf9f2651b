"""How high a voice speaks, and how large it sounds: two measures by which people tell voices apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE = 24_000
_FRAME = RATE * 40 // 1000
_LOWEST_HZ, _HIGHEST_HZ = 60, 400


def _frames(pcm: bytes) -> npt.NDArray[np.float64]:
    """Those in which somebody speaks up."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    loud = np.sqrt((frames**2).mean(axis=1))
    chosen: npt.NDArray[np.float64] = frames[loud > 0.3 * loud.max()]
    return chosen


def pitch(pcm: bytes) -> float:
    """Median fundamental (Hz) of the voiced frames of PCM (s16le mono at 24 kHz), by autocorrelation."""
    found = []
    for frame in _frames(pcm):
        windowed = (frame - frame.mean()) * np.hanning(_FRAME)
        spectrum = np.fft.rfft(windowed, 2 * _FRAME)
        alike = np.fft.irfft(np.abs(spectrum) ** 2)[: _FRAME // 2]
        # A shorter overlap makes long lags look less alike than they are.
        alike = alike / alike[0] / (1 - np.arange(len(alike)) / _FRAME) ** 1.5
        lags = slice(RATE // _HIGHEST_HZ, RATE // _LOWEST_HZ)
        peaks = alike[lags]
        best = float(peaks.max())
        if best < 0.5:
            continue
        # The shortest lag that is nearly as good: its multiples are as good as itself.
        inner = np.flatnonzero(
            (peaks[1:-1] > peaks[:-2]) & (peaks[1:-1] >= peaks[2:]) & (peaks[1:-1] > 0.85 * best)
        )
        if len(inner):
            found.append(RATE / (inner[0] + 1 + lags.start))
    return float(np.median(found))


def brightness(pcm: bytes) -> float:
    """Where the middle of the energy between 100 Hz and 5 kHz lies (Hz, on a logarithmic scale): it moves
    with the formants."""
    power = (np.abs(np.fft.rfft(_frames(pcm) * np.hanning(_FRAME), axis=1)) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(_FRAME, 1 / RATE)
    band = (frequency >= 100) & (frequency <= 5000)
    weight = np.sqrt(power[band])
    return float(np.exp((np.log(frequency[band]) * weight).sum() / weight.sum()))
