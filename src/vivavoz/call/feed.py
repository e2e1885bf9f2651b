"""What a job is fed while it runs."""

from __future__ import annotations

import asyncio
from typing import Any

_END = object()


class Feed:
    """What a job is fed, as the async iterator its engine reads. Bounded by the turn or reply it carries."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, piece: bytes | str) -> None:
        self._queue.put_nowait(piece)

    def finish(self) -> None:
        self._queue.put_nowait(_END)

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Any:
        if (piece := await self._queue.get()) is _END:
            self.finish()
            raise StopAsyncIteration
        return piece
