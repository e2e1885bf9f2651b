"""Recognition by Whisper (CTranslate2): a hundred languages, each segment heard in a window that fits it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import numpy as np

from vivavoz.engines.embedded import segments
from vivavoz.engines.embedded.downsample import Samples
from vivavoz.engines.embedded.silero import FRAME, Silero, SileroState
from vivavoz.engines.embedded.utterance import transcribe
from vivavoz.engines.multilingual import guards
from vivavoz.engines.multilingual.language import base, likeliest
from vivavoz.engines.multilingual.runtime import require
from vivavoz.engines.ports import EngineError, SttOptions, Transcript
from vivavoz.engines.process.threads import ModelThreads

_RATE = 16_000
_HOP = 160
"""Samples of one feature frame (10 ms)."""
_WINDOWS = ((5.0, 1000), (8.0, 1500))
_WHOLE = 3000
"""Feature frames. The model was trained on windows of 30 s and computes all of one, whatever is in it. Speech
of less than 5 s is heard as well in 10 s, less than 8 s in 15 s, for a third of the work; longer is not."""
_MAX_FRAMES = 437
"""Longest segment: 14 s. Every cut costs a word or so; a longer one, delay at the turn's end."""
_PROMPT_TOKENS = 96
"""So much of the session's prompt is used: its end."""

DETECTED = ("pt", "en", "es", "fr", "de", "it")
"""Where no language is named, one of these is taken. Short utterances are easily taken for a rare neighbour
of theirs (Galician, Welsh), whose words are then wrong."""


class WhisperStt:
    """Port ``Stt``, hosted in an engine process."""

    def __init__(
        self,
        model: str,
        vad: str,
        threads: int = 2,
        language: str | None = None,
        detected: Sequence[str] = DETECTED,
    ) -> None:
        """``model``: the model's directory; ``vad``: path of ``silero_vad.onnx``. ``threads`` cores work on
        one segment, and one segment is worked on at a time. ``language``: of sessions that name none; None:
        one of ``detected``, found out for each utterance."""
        self._path = model
        self._vad_path = vad
        self._cores = threads
        self._threads = ModelThreads("stt", 1, limit_s=60.0)
        self._vad_thread = ModelThreads("stt-vad", 1, limit_s=10.0)
        self._language = base(language) if language else None
        self._detected = tuple(detected)
        self._waiting = 0
        self._working = False
        self._vad: Any = None
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        package = require("faster_whisper")
        self._vad = Silero(self._vad_path)
        # A path that is no folder would be looked for on the hub.
        self._model = package.WhisperModel(
            self._path, device="cpu", compute_type="int8", cpu_threads=self._cores, local_files_only=True
        )
        self._tokenizer = require("faster_whisper.tokenizer").Tokenizer
        known = self._model.supported_languages
        for language in (*self._detected, *filter(None, [self._language])):
            if language not in known:
                raise EngineError(f"whisper knows no language {language!r}", "bad_engine_set")
        self.hear(np.zeros(2 * _RATE, np.float32), segments.Speech(0, 60, 60), None, None)

    def close(self) -> None:
        self._threads.close()
        self._vad_thread.close()

    def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        hearing = _Hearing(self, self.language(options.language), options.prompt)
        return transcribe(hearing, audio, _MAX_FRAMES)

    def language(self, named: str | None) -> str | None:
        """The language of an utterance in a session that names ``named``; None: it is to be found out. A
        language that the model does not know counts as not named."""
        wanted = base(named) if named else None
        return wanted if wanted in self._model.supported_languages else self._language

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._working

    async def score(self, state: SileroState, samples: Samples) -> list[float]:
        """Speech probability of each whole frame of ``samples``."""
        return await self._vad_thread.run(self._score, state, samples)

    async def recognise(
        self, samples: Samples, speech: segments.Speech, language: str | None, prompt: str | None
    ) -> Heard:
        """What is said in one segment."""
        self._waiting += 1
        try:
            return await self._threads.run(self.hear, samples, speech, language, prompt)
        finally:
            self._waiting -= 1

    def _score(self, state: SileroState, samples: Samples) -> list[float]:
        frames = range(0, len(samples), FRAME)
        return [self._vad.score([state], [samples[n : n + FRAME]])[0] for n in frames]

    def hear(
        self, samples: Samples, speech: segments.Speech, language: str | None, prompt: str | None
    ) -> Heard:
        """:meth:`recognise`, blocking. One call at a time."""
        # What nobody waits for any more is still computed to its end: the engine is not idle until then.
        self._working = True
        try:
            return self._hear(samples, speech, language, prompt)
        finally:
            self._working = False

    def _hear(
        self, samples: Samples, speech: segments.Speech, language: str | None, prompt: str | None
    ) -> Heard:
        seconds = len(samples) / _RATE
        encoded = self._encode(samples, window(seconds))
        if language is None:
            ranked = [(token[2:-2], p) for token, p in self._model.model.detect_language(encoded)[0]]
            language = likeliest(ranked, self._detected)
        answer = self._generate(encoded, language, prompt, seconds)
        if guards.looped(answer.text):
            whole = self._encode(samples, _WHOLE)
            answer = self._generate(whole, language, None, seconds, no_repeat_ngram_size=4)
        level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
        text = guards.believed(answer.text, speech, level, answer.no_speech, answer.mean_log)
        return Heard(text, language)

    def _encode(self, samples: Samples, frames: int) -> Any:
        """The encoder's view of ``samples`` in a window of at least so many frames of features."""
        features = self._model.feature_extractor(samples)[:, : min(_WHOLE, len(samples) // _HOP)]
        missing = max(0, frames - features.shape[1])
        window = np.pad(features, ((0, 0), (0, missing)), constant_values=features.min(initial=0.0))
        return self._model.encode(window)

    def _generate(
        self, encoded: Any, language: str, prompt: str | None, seconds: float, **options: Any
    ) -> _Answer:
        tokenizer = self._tokenizer(self._model.hf_tokenizer, True, task="transcribe", language=language)
        start = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        if prompt and prompt.strip():
            start = [tokenizer.sot_prev, *tokenizer.encode(f" {prompt.strip()}")[-_PROMPT_TOKENS:], *start]
        (result,) = self._model.model.generate(
            encoded,
            [start],
            beam_size=1,
            max_length=len(start) + guards.token_limit(seconds),
            return_scores=True,
            return_no_speech_prob=True,
            **options,
        )
        text = tokenizer.decode(result.sequences_ids[0])
        return _Answer(text.strip(), float(result.no_speech_prob), float(result.scores[0]))


def window(seconds: float) -> int:
    """Feature frames (10 ms each) in which so much speech is heard."""
    return next((frames for limit, frames in _WINDOWS if seconds < limit), _WHOLE)


class Heard(msgspec.Struct, frozen=True):
    text: str
    language: str


class _Answer(msgspec.Struct, frozen=True):
    text: str
    no_speech: float
    mean_log: float


class _Hearing:
    """One utterance's :class:`~vivavoz.engines.embedded.utterance.Recogniser`: it stays in one language."""

    def __init__(self, stt: WhisperStt, language: str | None, prompt: str | None) -> None:
        self._stt = stt
        self._language = language
        self._prompt = prompt

    @property
    def idle(self) -> bool:
        return self._stt.idle

    @property
    def alone(self) -> bool:
        """Never so that it matters: it takes too long to begin what may be in vain."""
        return False

    @property
    def spare(self) -> bool:
        return False

    async def score(self, state: SileroState, samples: Samples) -> list[float]:
        return await self._stt.score(state, samples)

    async def recognise(self, samples: Samples, speech: segments.Speech) -> str:
        heard = await self._stt.recognise(samples, speech, self._language, self._prompt)
        if heard.text and len(samples) >= _ENOUGH:
            self._language = heard.language
        return heard.text


_ENOUGH = 2 * _RATE
"""Less sound than this says little about its language."""
