"""Sound for tests: mono s16le, 24 kHz."""

from __future__ import annotations

import numpy as np

RATE = 24_000


def silence(ms: int) -> bytes:
    return bytes(ms * RATE // 1000 * 2)


def voice(ms: int, pitch_hz: float = 160.0) -> bytes:
    """A buzz with the harmonics and the loudness of a voice."""
    at = np.arange(ms * RATE // 1000) / RATE
    wave = sum(np.sin(2 * np.pi * pitch_hz * n * at) / n for n in range(1, 12))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * at)
    return (wave / np.abs(wave).max() * swell * 12_000).astype("<i2").tobytes()
