"""Recognition by Moonshine tiny (English): short segments, a transcriber a thread, never asked of silence."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from vivavoz.engines.embedded import segments
from vivavoz.engines.embedded.downsample import Samples
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.embedded.silero import FRAME, Silero, SileroState
from vivavoz.engines.embedded.utterance import transcribe
from vivavoz.engines.ports import SttOptions, Transcript
from vivavoz.engines.process.threads import ModelThreads

_RATE = 16_000
_QUICK_S = 0.15
"""A recogniser that took longer last time is too busy for drafts of unfinished speech."""


class MoonshineStt:
    """Port ``Stt``, hosted in an engine process.

    A transcriber must not be used by two threads at once (it answers with other calls' words), so each thread
    has its own. While the caller pauses, the segment is transcribed on speculation where a thread is idle:
    when the turn ends with nothing more said, the text is already there.
    """

    def __init__(self, model: str, vad: str, threads: int = 1) -> None:
        """``model``: the model's directory; ``vad``: path of ``silero_vad.onnx``."""
        self._model = Path(model)
        self._vad_path = vad
        self._count = threads
        self._threads = ModelThreads("stt", threads, limit_s=30.0)
        self._vad_thread = ModelThreads("stt-vad", 1, limit_s=10.0)
        self._local = threading.local()
        self._busy = self._listening = 0
        self._took_s = 0.0
        self.vad: Any = None

    def load(self) -> None:
        self.vad = Silero(self._vad_path)
        for seconds in (1, 6):
            self._transcribe(np.zeros(seconds * _RATE, np.float32))

    def close(self) -> None:
        self._threads.close()
        self._vad_thread.close()

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        self._listening += 1
        try:
            async with contextlib.aclosing(transcribe(self, audio)) as transcripts:
                async for each in transcripts:
                    yield each
        finally:
            self._listening -= 1

    @property
    def idle(self) -> bool:
        return self._busy < self._count

    @property
    def alone(self) -> bool:
        return self._listening <= self._count

    @property
    def spare(self) -> bool:
        return self.alone and self._took_s < _QUICK_S

    async def score(self, state: SileroState, samples: Samples) -> list[float]:
        """Speech probability of each whole frame of ``samples``."""
        return await self._vad_thread.run(self._score, state, samples)

    async def recognise(self, samples: Samples, speech: segments.Speech) -> str:
        """What is said in one segment."""
        self._busy += 1
        began = time.monotonic()
        try:
            text = await self._threads.run(self._transcribe, samples)
        finally:
            self._busy -= 1
            self._took_s = time.monotonic() - began
        return segments.believed(text, samples, speech)

    def _score(self, state: SileroState, samples: Samples) -> list[float]:
        frames = range(0, len(samples), FRAME)
        return [self.vad.score([state], [samples[n : n + FRAME]])[0] for n in frames]

    def _transcribe(self, samples: Samples) -> str:
        transcriber = getattr(self._local, "transcriber", None)
        if transcriber is None:
            moonshine = require("moonshine_voice")
            # Its own voice activity detection would cut the segments once more.
            transcriber = self._local.transcriber = moonshine.Transcriber(
                model_path=str(self._model),
                model_arch=moonshine.ModelArch.TINY,
                options={"vad_threshold": "0.0"},
            )
        lines = transcriber.transcribe_without_streaming(samples.tolist(), _RATE).lines
        return " ".join(line.text for line in lines)
