"""Has the caller finished? Smart Turn v3.2 judges it from the sound of the last 8 seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vivavoz.engines.embedded.downsample import Samples, downsample
from vivavoz.engines.embedded.logmel import RATE, log_mel
from vivavoz.engines.embedded.runtime import onnx_session
from vivavoz.engines.process.threads import ModelThreads

_SAMPLES = 8 * RATE
_BYTES_24K = 8 * 48_000


class SmartTurn:
    """Port ``TurnDetector``, hosted in an engine process."""

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self._path = path
        self._threads = ModelThreads("turn", limit_s=10.0)
        self._onnx_threads = threads
        self._session: Any = None

    def load(self) -> None:
        self._session = onnx_session(self._path, self._onnx_threads)
        self._judge(bytes(48_000))

    def close(self) -> None:
        self._threads.close()

    async def judge(self, pcm: bytes) -> float:
        return await self._threads.run(self._judge, pcm[-_BYTES_24K:])

    def _judge(self, pcm: bytes) -> float:
        samples = downsample(pcm)[-_SAMPLES:]
        window: Samples = np.zeros(_SAMPLES, np.float32)
        window[_SAMPLES - len(samples) :] = samples
        (probability, *_) = self._session.run(None, {"input_features": log_mel(window)[None]})
        return float(np.asarray(probability).reshape(-1)[0])
