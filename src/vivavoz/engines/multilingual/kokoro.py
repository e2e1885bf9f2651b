"""Speech by Kokoro 82M: Brazilian Portuguese and American English, clause by clause."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vivavoz.engines.embedded.clauses import Clauses, speakable
from vivavoz.engines.embedded.runtime import onnx_session
from vivavoz.engines.embedded.shaping import NOTHING, clamped, shaped, speak_clauses, words_of
from vivavoz.engines.multilingual.espeak import find_espeak
from vivavoz.engines.multilingual.language import SPOKEN, base, guess
from vivavoz.engines.multilingual.phonemes import Phonemes
from vivavoz.engines.multilingual.runtime import require
from vivavoz.engines.multilingual.symbols import runs
from vivavoz.engines.multilingual.voices import SPEAKERS, Voice, voice
from vivavoz.engines.ports import EngineError, Speech, SpeechOptions
from vivavoz.engines.process.threads import ModelThreads

log = logging.getLogger(__name__)

_STYLE = 256
"""Numbers that describe a speaker, one row of them for each length of text."""

FIRST_COMMA_WORDS, FIRST_WORDS = 2, 10
"""The first clause is shorter than a fast voice's: every word of it is 0.1 s of delay."""


class KokoroTts:
    """Port ``Tts``, hosted in an engine process."""

    def __init__(
        self, model: str, voices: Mapping[str, str], threads: int = 1, language: str | None = None
    ) -> None:
        """``model``: path of the ONNX file; ``voices``: paths of the speakers by name. ``threads`` cores work
        on one clause. ``language``: of all that is said; None: told from each clause."""
        self._path = model
        self._voice_paths = voices
        self._cores = threads
        self._language = base(language) if language else None
        if self._language is not None and self._language not in SPEAKERS:
            known = ", ".join(SPEAKERS)
            raise EngineError(
                f"kokoro speaks no {self._language!r} here; it speaks {known}", "bad_engine_set"
            )
        self._threads = ModelThreads("tts", 1, limit_s=60.0)
        self._session: Any = None
        self._run_options: Any = None
        self._styles: dict[str, NDArray[np.float32]] = {}
        self._phonemes: Any = None

    def load(self) -> None:
        self._session = onnx_session(self._path, self._cores)
        self._run_options = require("onnxruntime").RunOptions
        for name, path in self._voice_paths.items():
            self._styles[name] = _style(path)
        spoken = SPOKEN if self._language is None else (self._language,)
        english = _english() if "en" in spoken else None
        espeak = find_espeak() if "pt" in spoken or english is None else None
        self._phonemes = Phonemes(espeak, english)
        for language in spoken:
            self._speak("Okay, 1, 2.", language, voice("marin"), 1.0)

    def close(self) -> None:
        self._threads.close()

    def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        """Each clause is one call of the pool, so that jobs take turns clause by clause."""
        chosen, speed = voice(options.voice), clamped(options.speed)
        last = SPOKEN[0]

        async def speak(clause: str) -> bytes:
            nonlocal last
            last = self._language or guess(clause, last)
            running = self._run_options()
            try:
                return await self._threads.run(self._speak, clause, last, chosen, speed, running)
            finally:
                # A clause takes a second: one that nobody waits for any more must not hold up the next reply.
                running.terminate = True

        return speak_clauses(text, Clauses(FIRST_COMMA_WORDS, FIRST_WORDS), speak)

    def _speak(self, clause: str, language: str, chosen: Voice, speed: float, running: Any = None) -> bytes:
        """The sound of one clause, with the pause that its punctuation asks for."""
        words = words_of(clause)
        if not speakable(words):
            return NOTHING
        style = self._styles[chosen.speaker(language)]
        spoken = [
            self._run(symbols, style, speed / chosen.pitch, running)
            for symbols in runs(self._phonemes.of(words, language))
        ]
        return shaped(np.concatenate(spoken), words, speed, chosen.pitch) if spoken else NOTHING

    def _run(
        self, symbols: list[int], style: NDArray[np.float32], speed: float, running: Any
    ) -> NDArray[np.float32]:
        inputs = {
            "tokens": np.array([[0, *symbols, 0]], np.int64),
            "style": style[len(symbols) - 1][None],
            "speed": np.array([speed], np.float32),
        }
        (sound, *_) = self._session.run(None, inputs, running)
        return np.asarray(sound, np.float32).reshape(-1)


def _style(path: str) -> NDArray[np.float32]:
    try:
        return np.fromfile(path, np.float32).reshape(-1, _STYLE)
    except (OSError, ValueError) as error:
        raise EngineError(f"{Path(path).name} does not load: {error}", "engine_failed") from error


def _english() -> Callable[[str], str] | None:
    """The English voice's package knows English phonemes, in the same alphabet; eSpeak does without it."""
    try:
        phonemize = require("hibari.g2p").G2P(british=False)
    except EngineError:
        log.warning("English is pronounced by eSpeak NG: the package hibari-tts is not installed")
        return None

    def phonemes(text: str) -> str:
        return str(phonemize(text))

    return phonemes
