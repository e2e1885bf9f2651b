"""An engine without a model: it does what it is told, so that processes can be killed, stopped and hung."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence

from vivavoz.engines.ports import (
    Counted,
    EngineError,
    Finish,
    ReplyDelta,
    ReplyOptions,
    Speech,
    SpeechOptions,
    SttOptions,
    TextDelta,
    ToolCallDelta,
    Transcript,
    Usage,
)
from vivavoz.engines.process.threads import ModelThreads
from vivavoz.wire.items import Item


class Toy:
    """Every port in one. ``instructions`` of a reply say what to do."""

    def __init__(self, fails: str | None = None, breaks: bool = False) -> None:
        self._fails = fails
        self._breaks = breaks
        self._threads = ModelThreads("toy", limit_s=0.2)
        self._running = 0

    def load(self) -> None:
        if self._fails:
            raise EngineError(self._fails, "engine_absent")
        if self._breaks:
            raise RuntimeError("no good")

    def close(self) -> None:
        self._threads.close()

    async def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        heard = 0
        async for pcm in audio:
            heard += len(pcm)
            yield Transcript(f"{len(pcm)} ")
        yield Transcript(f"{heard} bytes of {options.language}", final=True)

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        self._running += 1
        try:
            match options.instructions:
                case "pid":
                    yield TextDelta(str(os.getpid()))
                case "nice":
                    yield TextDelta(str(os.nice(0)))
                case "running":
                    yield TextDelta(str(self._running))
                case "items":
                    yield TextDelta(repr(items))
                case "count":
                    for n in range(1000):
                        yield TextDelta(str(n))
                case "forever":
                    yield TextDelta("on and on")
                    await asyncio.Event().wait()
                case "raise":
                    yield TextDelta("so far")
                    raise ValueError("a secret that was said")
                case "refuse":
                    raise EngineError("not today", "engine_moody")
                case "hang":
                    await self._threads.run(time.sleep, 60)
                case "hog":
                    # Holds the interpreter lock in short bites, as a busy but healthy model's glue does.
                    await self._threads.run(_hog, 0.1)
                    yield TextDelta("done")
                case _:
                    yield ToolCallDelta(0, "f", '{"a":')
                    yield Usage(1, 2, 3)
                    yield Finish("max_output_tokens")
        finally:
            self._running -= 1

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        if options.instructions == "refuse":
            raise EngineError("not today", "engine_moody")
        return Counted([7] * len(items), len(options.instructions))

    async def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        async for piece in text:
            yield Speech(piece.encode() * 2, piece)

    async def judge(self, pcm: bytes) -> float:
        return len(pcm) / 1000


def _hog(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))
