"""24 kHz to 16 kHz for the models that want it: streaming, sample exact, 0.6 ms behind.

soxr's streaming resampler hands out its samples in lumps, up to 37 ms late; here every call gives what its
samples complete. Three input samples make two output samples, one on an input sample and one half way between
two, each from one fixed filter (windowed sinc, cut off below 8 kHz). Output sample ``m`` lies exactly where
input sample ``1.5 m`` does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_HALF = 12
"""Filter half width in input samples."""
_WIDTH = 2 * _HALF + 4
_CUTOFF = 7300.0 / 24_000.0


def _filters() -> Samples:
    """Two columns: the filter centred on an input sample and the one centred 1.5 samples later."""
    taps = np.arange(_WIDTH)
    columns = []
    for centre in (_HALF, _HALF + 1.5):
        distance = taps - centre
        window = np.i0(7.0 * np.sqrt(np.clip(1.0 - (distance / (_HALF + 1.5)) ** 2, 0.0, 1.0)))
        kernel = np.sinc(2 * _CUTOFF * distance) * window
        columns.append(kernel / kernel.sum())
    return np.stack(columns, axis=1).astype(np.float32)


_FILTERS = _filters()


class Downsampler:
    """One stream. Float samples in -1..1 come out."""

    def __init__(self) -> None:
        self._rest = np.zeros(_HALF, np.float32)

    def feed(self, pcm: bytes) -> Samples:
        """``pcm``: s16le at 24 kHz, any even length. Returns the 16 kHz samples that it completes."""
        fresh = np.frombuffer(pcm, np.int16).astype(np.float32) * np.float32(1 / 32768)
        samples = np.concatenate((self._rest, fresh))
        pairs = (len(samples) - _WIDTH) // 3 + 1
        if pairs <= 0:
            self._rest = samples
            return np.zeros(0, np.float32)
        self._rest = samples[3 * pairs :].copy()
        windows = np.lib.stride_tricks.sliding_window_view(samples, _WIDTH)[: 3 * pairs : 3]
        return np.ascontiguousarray(windows @ _FILTERS).reshape(-1)

    def flush(self) -> Samples:
        """The last few samples, as if silence followed."""
        return self.feed(bytes(2 * _WIDTH))


def downsample(pcm: bytes) -> Samples:
    """A whole buffer at once: ``len(pcm) / 3`` samples."""
    stream = Downsampler()
    samples = np.concatenate((stream.feed(pcm), stream.flush()))
    return samples[: len(pcm) // 3]
