"""From a model's raw sound to what is played: clause by clause, without its silences, with ours."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from vivavoz.engines.embedded.clauses import Clauses, speakable
from vivavoz.engines.ports import SAMPLE_RATE, Speech

Samples = NDArray[np.float32]

MIN_SPEED, MAX_SPEED = 0.25, 2.0
_QUIET = 0.004
"""Amplitude below which the model's lead and tail count as silence."""
_LEAD, _TAIL = SAMPLE_RATE * 10 // 1000, SAMPLE_RATE * 30 // 1000
"""What is kept of them: enough for the edge to fade; a listener waits for every millisecond of the lead."""
_PAUSE_MS = {",": 120, ";": 160, ":": 160, ".": 260, "!": 260, "?": 280, "…": 320}
_PAUSE_ELSE_MS = 30
"""Behind a clause that was cut within a sentence."""
_FADE = SAMPLE_RATE * 5 // 1000
_MARKUP = re.compile(r"[*_`#~|<>\[\]{}]+")

NOTHING = bytes(2 * 20 * SAMPLE_RATE // 1000)
"""20 ms of silence: the sound of a clause in which there is nothing to say."""


async def speak_clauses(
    text: AsyncIterator[str], clauses: Clauses, speak: Callable[[str], Awaitable[bytes]]
) -> AsyncIterator[Speech]:
    """A chunk a clause; their texts join to ``text``. ``speak``: the sound (24 kHz) of one clause."""
    held = ""
    async for piece in text:
        for clause in clauses.feed(piece):
            held += clause
            if speakable(held):
                yield Speech(await speak(held), held)
                held = ""
    held += "".join(clauses.flush())
    if held:
        yield Speech(await speak(held), held)


def words_of(clause: str) -> str:
    """What is to be said of a clause: without the markup that models write."""
    return _MARKUP.sub(" ", clause).strip()


def clamped(speed: float) -> float:
    return min(MAX_SPEED, max(MIN_SPEED, speed))


def shaped(sound: Samples, words: str, speed: float, ratio: float) -> bytes:
    """``sound``, which says ``words``, with edges cut and faded, played ``ratio`` times as fast, and followed
    by the pause that their punctuation asks for."""
    pause = _PAUSE_MS.get(words.rstrip("\"'”’)")[-1:], _PAUSE_ELSE_MS) / speed
    silence = np.zeros(int(pause * SAMPLE_RATE / 1000), np.float32)
    whole = np.concatenate((_stretched(_trimmed(sound), ratio), silence))
    return (np.clip(whole, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def _trimmed(sound: Samples) -> Samples:
    """Without the model's own lead (up to 0.3 s, all of it delay to a listener) and tail; edges faded."""
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    if not len(loud):
        return sound[:0]
    kept = sound[max(0, loud[0] - _LEAD) : loud[-1] + _TAIL].copy()
    fade = min(_FADE, len(kept) // 2)
    slope = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    kept[:fade] *= slope
    kept[len(kept) - fade :] *= slope[::-1]
    return kept


def _stretched(sound: Samples, ratio: float) -> Samples:
    """Played ``ratio`` times as fast, by resampling."""
    if abs(ratio - 1.0) < 0.005 or not len(sound):
        return sound
    stretched: Samples = soxr.resample(sound, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="MQ")
    return stretched
