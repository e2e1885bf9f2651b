"""Voice activity by Silero VAD: frames of 32 ms, batched over all calls of a worker, on one thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vivavoz.engines.embedded.downsample import Downsampler, Samples
from vivavoz.engines.embedded.runtime import onnx_session
from vivavoz.engines.ports import EngineError, Score

FRAME = 512
"""Samples of a frame at 16 kHz."""
FRAME_24K = 768
"""The same at 24 kHz (32 ms)."""
_CONTEXT = 64
_RATE = np.array(16_000, np.int64)

# The model's memory of long silence, noise or music makes it deaf to the speech that follows (found and
# measured by the Pipecat project). It is cleared about every 2 s, in clear non-speech only.
_RESET_FRAMES = 62
_RESET_AFTER_LOW = 5
_LOW = 0.1
_EMPTY_FRAMES = 16
"""Half a second of zeros, none of which seemed to be speech: what follows is no speech either."""


class SileroState:
    """What the model remembers of one stream."""

    def __init__(self) -> None:
        self.memory = np.zeros((2, 128), np.float32)
        self.context = np.zeros(_CONTEXT, np.float32)
        self._age = 0
        self._low = 0
        self._empty = 0

    def hears(self, frame: Samples) -> bool:
        """Whether the model must be asked about this frame: not when there was nothing at all for a while, as
        from a muted or a vanished microphone. It begins afresh with the next sound."""
        if frame.any():
            self._empty = 0
        elif self._low:
            self._empty += 1
        if self._empty < _EMPTY_FRAMES:
            return True
        if self._age:
            self.memory, self.context = np.zeros_like(self.memory), np.zeros_like(self.context)
            self._age = 0
        return False

    def scored(self, probability: float) -> None:
        self._age += 1
        self._low = self._low + 1 if probability < _LOW else 0
        if self._age >= _RESET_FRAMES and self._low >= _RESET_AFTER_LOW:
            self.memory = np.zeros((2, 128), np.float32)
            self._age = 0


class Silero:
    """The model. Not thread-safe."""

    def __init__(self, path: Path | str) -> None:
        """Raises EngineError where onnxruntime is missing or the file is none of its models."""
        self._session: Any = onnx_session(path)

    def score(self, states: list[SileroState], frames: list[Samples]) -> list[float]:
        """Probability of speech for one frame (512 samples, 16 kHz) of each stream, all in one run; 0.0
        without one where there is nothing to hear."""
        heard = [n for n, state in enumerate(states) if state.hears(frames[n])]
        found = [0.0] * len(states)
        if heard:
            asked = self._run([states[n] for n in heard], [frames[n] for n in heard])
            for n, probability in zip(heard, asked, strict=True):
                found[n] = probability
        return found

    def _run(self, states: list[SileroState], frames: list[Samples]) -> list[float]:
        contexts = np.stack([state.context for state in states])
        sound = np.concatenate((contexts, np.stack(frames)), axis=1)
        memory = np.stack([state.memory for state in states], axis=1)
        output, memory = self._session.run(None, {"input": sound, "state": memory, "sr": _RATE})
        probabilities = [float(p) for p in output[:, 0]]
        for n, (state, probability) in enumerate(zip(states, probabilities, strict=True)):
            state.memory = memory[:, n]
            state.context = sound[n, -_CONTEXT:]
            state.scored(probability)
        return probabilities


class SileroVad:
    """Port ``Vad``: one thread scores what all calls have ready, so a frame of many calls costs one run."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Load the model. Raises EngineError."""
        if self._thread is None:
            model = await asyncio.to_thread(self._load)
            self._thread = threading.Thread(target=self._run, args=(model,), name="vad", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        if self._thread is not None:
            self._requests.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def open(self) -> SileroStream:
        return SileroStream(self)

    def submit(self, request: _Request) -> None:
        if self._thread is None:
            raise EngineError("voice activity detection is not running", "engine_unavailable")
        self._requests.put(request)

    def _load(self) -> Silero:
        model = Silero(self._path)
        model.score([SileroState()], [np.zeros(FRAME, np.float32)])
        return model

    def _run(self, model: Silero) -> None:
        while (first := self._requests.get()) is not None:
            batch = [first]
            while not self._requests.empty():
                following = self._requests.get()
                if following is None:
                    self._requests.put(None)
                    break
                batch.append(following)
            try:
                _score(model, batch)
                error = None
            except Exception as failure:  # the calls must hear of it, whatever it is
                error = EngineError(f"voice activity detection failed ({type(failure).__name__})")
            for request in batch:
                request.answer(error)


class SileroStream:
    """One call's voice activity (port ``VadStream``)."""

    def __init__(self, vad: SileroVad) -> None:
        self._vad = vad
        self.state = SileroState()
        self.downsampler = Downsampler()
        self.pending = np.zeros(0, np.float32)
        self.frames = 0

    async def score(self, pcm: bytes) -> list[Score]:
        request = _Request(self, pcm)
        self._vad.submit(request)
        return await request.answered


class _Request:
    def __init__(self, stream: SileroStream, pcm: bytes) -> None:
        self.stream = stream
        self.pcm = pcm
        self.scores: list[Score] = []
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[list[Score]] = self._loop.create_future()

    def answer(self, error: EngineError | None) -> None:
        """Called in the scoring thread."""
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever asked
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: EngineError | None) -> None:
        if self.answered.done():
            return
        if error is None:
            self.answered.set_result(self.scores)
        else:
            self.answered.set_exception(error)


def _score(model: Silero, batch: list[_Request]) -> None:
    """Score all frames that the batch completes, one of each stream a run."""
    for request in batch:
        stream = request.stream
        stream.pending = np.concatenate((stream.pending, stream.downsampler.feed(request.pcm)))
    # A stream with two requests in the batch gives all its frames to the first.
    open_requests = list({id(request.stream): request for request in reversed(batch)}.values())
    while ready := [request for request in open_requests if len(request.stream.pending) >= FRAME]:
        streams = [request.stream for request in ready]
        frames: list[NDArray[np.float32]] = [stream.pending[:FRAME] for stream in streams]
        probabilities = model.score([stream.state for stream in streams], frames)
        for request, probability in zip(ready, probabilities, strict=True):
            stream = request.stream
            stream.pending = stream.pending[FRAME:]
            stream.frames += 1
            request.scores.append(Score(stream.frames * FRAME_24K, probability))
