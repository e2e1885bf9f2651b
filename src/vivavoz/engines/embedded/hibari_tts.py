"""Speech by Hibari: one small English voice, spoken clause by clause."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from vivavoz.engines.embedded.clauses import Clauses, speakable
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.embedded.voices import shift
from vivavoz.engines.ports import SAMPLE_RATE, Speech, SpeechOptions
from vivavoz.engines.process.threads import ModelThreads

Samples = NDArray[np.float32]

MIN_SPEED, MAX_SPEED = 0.25, 2.0
_QUIET = 0.004
"""Amplitude below which the model's lead and tail count as silence."""
_MARGIN = SAMPLE_RATE * 30 // 1000
_PAUSE_MS = {",": 120, ";": 160, ":": 160, ".": 260, "!": 260, "?": 280, "…": 320}
_PAUSE_ELSE_MS = 30
"""Behind a clause that was cut within a sentence."""
_SILENT_MS = 20
_FADE = SAMPLE_RATE * 5 // 1000
_MARKUP = re.compile(r"[*_`#~|<>\[\]{}]+")


class HibariTts:
    """Port ``Tts``, hosted in an engine process."""

    def __init__(self, model: str, threads: int = 1) -> None:
        """``model``: path of ``hibari.onnx``. ``threads`` calls are spoken at once, each on one core."""
        self._model = model
        self._threads = ModelThreads("tts", threads, limit_s=15.0)
        self._tts: Any = None

    def load(self) -> None:
        # Naming the model's file keeps the package from ever looking for one elsewhere.
        self._tts = require("hibari").Hibari(model=self._model, threads=1)
        self._speak("Hello, I am ready.", 1.0, 1.0)

    def close(self) -> None:
        self._threads.close()

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        """A chunk a clause. Each clause is one call of the pool, so that jobs take turns clause by clause."""
        clauses, held = Clauses(), ""
        ratio = shift(options.voice)
        speed = min(MAX_SPEED, max(MIN_SPEED, options.speed))
        async for piece in text:
            for clause in clauses.feed(piece):
                held += clause
                if speakable(held):
                    yield Speech(await self._threads.run(self._speak, held, speed, ratio), held)
                    held = ""
        held += "".join(clauses.flush())
        if held:
            yield Speech(await self._threads.run(self._speak, held, speed, ratio), held)

    def _speak(self, clause: str, speed: float, ratio: float) -> bytes:
        """The sound of one clause, with the pause that its punctuation asks for."""
        words = _MARKUP.sub(" ", clause).strip()
        if not speakable(words):
            return bytes(2 * _SILENT_MS * SAMPLE_RATE // 1000)
        # Letters that the voice does not know leave nothing, or punctuation that would be a grunt.
        phonemes = [sentence for sentence in self._tts.phonemize(words) if speakable(sentence)]
        if not phonemes:
            return bytes(2 * _SILENT_MS * SAMPLE_RATE // 1000)
        spoken = [self._tts.from_phonemes(sentence, speed=speed / ratio) for sentence in phonemes]
        sound = _stretched(_trimmed(np.concatenate(spoken)), ratio)
        pause = _PAUSE_MS.get(words.rstrip("\"'”’)")[-1:], _PAUSE_ELSE_MS) / speed
        silence = np.zeros(int(pause * SAMPLE_RATE / 1000), np.float32)
        whole = np.concatenate((sound, silence))
        return (np.clip(whole, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def _trimmed(sound: Samples) -> Samples:
    """Without the model's own lead (up to 0.3 s, all of it delay to a listener) and tail; edges faded."""
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    if not len(loud):
        return sound[:0]
    kept = sound[max(0, loud[0] - _MARGIN) : loud[-1] + _MARGIN].copy()
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
