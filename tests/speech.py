"""Somebody who speaks: sound for fake microphones and for clients that send samples.

The scripted voice is enough where speech is only to be detected; where a model is to understand it, the
embedded voice says it.
"""

from __future__ import annotations

import wave
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soxr

from vivavoz.engines.scripted.voice import say

RATE = 24_000
MICROPHONE_RATE = 48_000


def silence(seconds: float) -> bytes:
    """PCM, s16le mono at 24 kHz, like everything here."""
    return bytes(2 * int(seconds * RATE))


def scripted_speech(text: str) -> bytes:
    """Something that every detector takes for speech and nobody understands."""
    return b"".join(say(word + " ", "echo", 1.0) for word in text.split())


@lru_cache
def real_speech(text: str) -> bytes:
    """What a person could have said. Skips the test where the embedded voice is not installed."""
    hibari = pytest.importorskip("hibari", reason="the embedded voice is not installed")
    samples = np.asarray(hibari.Hibari(threads=1)(text), dtype=np.float32)
    peak = float(np.abs(samples).max()) or 1.0
    return (samples * (0.6 * 32767 / peak)).astype("<i2").tobytes()


def write_microphone(path: Path, *pieces: bytes) -> Path:
    """A WAV file that Chromium takes for a microphone."""
    samples = np.frombuffer(b"".join(pieces), dtype="<i2").astype(np.float32) / 32768
    louder = soxr.resample(samples, RATE, MICROPHONE_RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MICROPHONE_RATE)
        file.writeframes((np.clip(louder, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_wav(path: Path, pcm: bytes) -> Path:
    """The samples as they are, for a client that reads a file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    return path
