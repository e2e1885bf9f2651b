"""What a recogniser is given, and what is believed of its answer. Pure.

Short-form recognisers loop on long segments and invent words for silence. So an utterance is cut into
segments at its quietest moments, silence is cut off both ends, and what is known to be invented is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRAME = 512
"""Samples (16 kHz) of one voice activity frame: 32 ms."""

SPEECH = 0.4
"""Probability from which a frame counts as speech."""
MIN_SPEECH_FRAMES = 8
"""Less speech than this (256 ms) is none."""
MAX_FRAMES = 280
"""Longest segment: 9 s."""
SEARCH_FRAMES = 95
"""A cut is looked for in the last 3 s of a segment that has become too long."""
LEAD_FRAMES = 6
TAIL_FRAMES = 4
"""Frames kept around speech: 190 ms before, 130 ms behind."""

FADED = 0.02
"""34 dB below the middle of the speech: softer than any sound of a word spoken into a near microphone."""

_INVENTED = {"you", "the", "i", "thanks for watching", "thank you for watching"}
"""What small recognisers say of noise. What callers say alone ("okay", "bye", "thank you") is not here."""

_WEAK_FRAMES = 14
_WEAK_LEVEL = 0.01
"""Under 0.45 s of speech, or quieter than -40 dBFS: too little to believe those words."""


class Speech(msgspec.Struct, frozen=True):
    """Where speech lies in a run of frames: from ``start`` to ``end`` (padded); ``frames`` are speech."""

    start: int
    end: int
    frames: int


def find_speech(probabilities: Sequence[float]) -> Speech | None:
    """The speech in a segment, or None where there is too little."""
    speaking = [n for n, probability in enumerate(probabilities) if probability >= SPEECH]
    if len(speaking) < MIN_SPEECH_FRAMES:
        return None
    start = max(0, speaking[0] - LEAD_FRAMES)
    end = min(len(probabilities), speaking[-1] + 1 + TAIL_FRAMES)
    return Speech(start, end, len(speaking))


def audible(probabilities: Sequence[float], levels: Sequence[float]) -> list[bool]:
    """Which frames of a segment one can hear speech in. ``levels``: their root mean squares. Voice activity
    falls a tenth of a second after the voice does: what is so much softer than most of it only echoes it."""
    speaking = [
        level for level, probability in zip(levels, probabilities, strict=True) if probability >= SPEECH
    ]
    floor = FADED * float(np.median(speaking)) if speaking else 0.0
    return [
        probability >= SPEECH and level >= floor
        for level, probability in zip(levels, probabilities, strict=True)
    ]


def find_cut(probabilities: Sequence[float]) -> int:
    """Where to cut a segment that is too long: the frame amid its quietest moment near the end."""
    first = max(1, len(probabilities) - SEARCH_FRAMES)
    window = np.convolve(np.asarray(probabilities, np.float64)[first:], np.ones(5) / 5, mode="valid")
    return first + int(np.argmin(window)) + 2


def believed(text: str, samples: Samples, speech: Speech) -> str:
    """``text`` tidied, or nothing where it is known to be invented for such sound."""
    text = unloop(" ".join(text.split()))
    words = re.sub(r"[^\w\s']", "", text).strip().lower()
    if not words:
        return ""
    level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    weak = speech.frames < _WEAK_FRAMES or level < _WEAK_LEVEL
    return "" if weak and words in _INVENTED else text


def unloop(text: str) -> str:
    """``text`` without the endless repetition that a recogniser can fall into (four times or more: once)."""
    return re.sub(r"\b((?:\S+\s+){0,5}?\S+?)(?:[\s,.]+\1){3,}(?=\W|$)", r"\1", text)
