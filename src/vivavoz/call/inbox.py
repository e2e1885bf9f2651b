"""What waits to happen to a call: one bounded queue, handled in order by one task."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from vivavoz.call.rights import EVERYTHING, Rights
from vivavoz.session.translation.inputs import AnyInput

_MESSAGE_OVERHEAD = 200


class Message(NamedTuple):
    """One message of a client's, not decoded yet: what it means depends on what came before it."""

    sender: str
    data: str | bytes
    rights: Rights = EVERYTHING
    """The sender's, who may be gone when the message is handled."""


class Sound(NamedTuple):
    """The caller's sound from a media transport (24 kHz PCM)."""

    pcm: bytes


Waiting = Message | Sound | AnyInput


class Inbox:
    """``put`` never waits and says whether there was room; jobs, which can wait, ask for ``room`` first."""

    def __init__(self, messages: int, size: int) -> None:
        self._limit, self._size_limit = messages, size
        self._queue: deque[Waiting] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def put(self, waiting: Waiting) -> bool:
        if len(self._queue) >= self._limit or self._size >= self._size_limit:
            return False
        self.force(waiting)
        return True

    def force(self, waiting: Waiting) -> None:
        """For what must not be lost and is bounded elsewhere."""
        self._queue.append(waiting)
        self._size += _size(waiting)
        self._filled.set()

    async def room(self) -> None:
        """Wait until less than half of the queue is taken."""
        while len(self._queue) > self._limit // 2:
            self._emptied.clear()
            await self._emptied.wait()

    async def take(self) -> Waiting:
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        waiting = self._queue.popleft()
        self._size -= _size(waiting)
        if len(self._queue) <= self._limit // 2:
            self._emptied.set()
        return waiting


def _size(waiting: Waiting) -> int:
    if isinstance(waiting, Message):
        return len(waiting.data) + _MESSAGE_OVERHEAD
    return len(waiting.pcm) if isinstance(waiting, Sound) else _MESSAGE_OVERHEAD
