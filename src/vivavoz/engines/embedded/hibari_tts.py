"""Speech by Hibari: one small English voice, spoken clause by clause."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from vivavoz.engines.embedded.clauses import Clauses, speakable
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.embedded.shaping import NOTHING, clamped, shaped, speak_clauses, words_of
from vivavoz.engines.embedded.voices import shift
from vivavoz.engines.ports import Speech, SpeechOptions
from vivavoz.engines.process.threads import ModelThreads


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

    def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        """Each clause is one call of the pool, so that jobs take turns clause by clause."""
        ratio, speed = shift(options.voice), clamped(options.speed)
        return speak_clauses(
            text, Clauses(), lambda clause: self._threads.run(self._speak, clause, speed, ratio)
        )

    def _speak(self, clause: str, speed: float, ratio: float) -> bytes:
        """The sound of one clause, with the pause that its punctuation asks for."""
        words = words_of(clause)
        if not speakable(words):
            return NOTHING
        # Letters that the voice does not know leave nothing, or punctuation that would be a grunt.
        phonemes = [sentence for sentence in self._tts.phonemize(words) if speakable(sentence)]
        if not phonemes:
            return NOTHING
        spoken = [self._tts.from_phonemes(sentence, speed=speed / ratio) for sentence in phonemes]
        return shaped(np.concatenate(spoken), words, speed, ratio)
