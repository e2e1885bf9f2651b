"""Recognition by Moonshine tiny (English): short segments, a transcriber a thread, never asked of silence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from vivavoz.engines.embedded import segments
from vivavoz.engines.embedded.downsample import Downsampler, Samples
from vivavoz.engines.embedded.runtime import require
from vivavoz.engines.embedded.silero import FRAME, Silero, SileroState
from vivavoz.engines.ports import SttOptions, Transcript
from vivavoz.engines.process.threads import ModelThreads

_PAUSE_FRAMES = 4
"""So many frames without speech (130 ms), and the caller may have finished: the text is made ready."""
_SCORED_AT_ONCE = 4
_RATE = 16_000


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
        self._busy = 0
        self.vad: Any = None

    def load(self) -> None:
        self.vad = Silero(self._vad_path)
        for seconds in (1, 6):
            self._transcribe(np.zeros(seconds * _RATE, np.float32))

    def close(self) -> None:
        self._threads.close()
        self._vad_thread.close()

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        utterance = _Utterance(self)
        spoken: list[str] = []
        try:
            async for pcm in audio:
                text = await utterance.feed(pcm)
                if text:
                    yield Transcript(text if not spoken else f" {text}")
                    spoken.append(text)
            text = await utterance.finish()
            if text:
                yield Transcript(text if not spoken else f" {text}")
                spoken.append(text)
            yield Transcript(" ".join(spoken), final=True)
        finally:
            utterance.close()

    @property
    def idle(self) -> bool:
        return self._busy < self._count

    async def score(self, state: SileroState, samples: Samples) -> list[float]:
        """Speech probability of each whole frame of ``samples``."""
        return await self._vad_thread.run(self._score, state, samples)

    async def recognise(self, samples: Samples, speech: segments.Speech) -> str:
        """What is said in one segment."""
        self._busy += 1
        try:
            text = await self._threads.run(self._transcribe, samples)
        finally:
            self._busy -= 1
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


class _Utterance:
    """One turn's sound, as far as it is not transcribed yet."""

    def __init__(self, stt: MoonshineStt) -> None:
        self._stt = stt
        self._downsampler = Downsampler()
        self._state = SileroState()
        self._samples: Samples = np.zeros(0, np.float32)
        self._probabilities: list[float] = []
        self._guess: asyncio.Task[str] | None = None
        self._guessed: segments.Speech | None = None

    async def feed(self, pcm: bytes) -> str:
        """Take sound in; the text of a segment, where one became too long and was cut off."""
        self._samples = np.concatenate((self._samples, self._downsampler.feed(pcm)))
        await self._score(at_least=_SCORED_AT_ONCE)
        text = ""
        while len(self._probabilities) > segments.MAX_FRAMES:
            text = f"{text} {await self._cut()}".strip()
        self._forget_silence()
        self._speculate()
        return text

    async def finish(self) -> str:
        """The text of what is left."""
        rest = np.concatenate((self._samples, self._downsampler.flush()))
        self._samples = np.pad(rest, (0, -len(rest) % FRAME))
        await self._score(at_least=1)
        speech = segments.find_speech(self._probabilities)
        if speech is None:
            return ""
        if self._guess is not None and self._guessed == speech:
            return await self._guess
        return await self._stt.recognise(self._sound(speech), speech)

    def close(self) -> None:
        if self._guess is not None:
            self._guess.cancel()

    async def _score(self, at_least: int) -> None:
        scored = len(self._probabilities)
        frames = len(self._samples) // FRAME
        if frames - scored >= at_least:
            fresh = self._samples[scored * FRAME : frames * FRAME]
            self._probabilities += await self._stt.score(self._state, fresh)

    async def _cut(self) -> str:
        """Transcribe up to the quietest moment and keep what comes behind it."""
        limit = self._probabilities[: segments.MAX_FRAMES]
        cut = segments.find_cut(limit)
        speech = segments.find_speech(self._probabilities[:cut])
        sound = self._sound(speech) if speech is not None else None
        self._drop(cut)
        return await self._stt.recognise(sound, speech) if speech is not None and sound is not None else ""

    def _forget_silence(self) -> None:
        """Before anything is said only the last moment is kept, however long it takes."""
        if not any(probability >= segments.SPEECH for probability in self._probabilities):
            self._drop(max(0, len(self._probabilities) - segments.LEAD_FRAMES))

    def _drop(self, frames: int) -> None:
        if frames:
            self._samples = self._samples[frames * FRAME :].copy()
            del self._probabilities[:frames]
            self._guessed = None

    def _speculate(self) -> None:
        tail = self._probabilities[-_PAUSE_FRAMES:]
        if len(tail) < _PAUSE_FRAMES or any(probability >= segments.SPEECH for probability in tail):
            return
        speech = segments.find_speech(self._probabilities)
        if speech is None or speech == self._guessed or not self._stt.idle:
            return
        if self._guess is not None:
            self._guess.cancel()
        self._guess = asyncio.create_task(self._stt.recognise(self._sound(speech), speech))
        # A guess that fails or is not wanted says nothing; one that is wanted is awaited.
        self._guess.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._guessed = speech

    def _sound(self, speech: segments.Speech) -> Samples:
        return self._samples[speech.start * FRAME : speech.end * FRAME].copy()
