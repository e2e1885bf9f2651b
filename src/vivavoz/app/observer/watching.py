"""Frames for those who look at something live. Who is too slow is dropped, and slows nobody down."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

MAX_FRAMES = 2000
MAX_BYTES = 4 * 1024 * 1024


class Watch:
    """One watcher. ``dropped``: it was too slow; ``over``: nothing comes any more."""

    def __init__(self, drop: Callable[[], None]) -> None:
        """``drop`` is called once, when it becomes too slow."""
        self.dropped = False
        self._drop = drop
        self.over = False
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    def put(self, frame: bytes) -> None:
        if self.dropped:
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        if len(self._frames) > MAX_FRAMES or self._bytes > MAX_BYTES:
            self.dropped = True
            self._frames.clear()
            self._drop()
        self._news.set()

    def end(self) -> None:
        self.over = True
        self._news.set()

    def changed(self) -> None:
        """Something else than a frame is new."""
        self._news.set()

    async def news(self, timeout_s: float | None = None) -> None:
        """Returns when something is new since the last time, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    def frames(self) -> Iterator[bytes]:
        """Those that wait; they are taken."""
        while self._frames:
            frame = self._frames.popleft()
            self._bytes -= len(frame)
            yield frame


class Watches:
    """All watchers of one thing. ``version`` counts its changes."""

    MAX = 100

    def __init__(self) -> None:
        self.version = 0
        self._watches: set[Watch] = set()

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def full(self) -> bool:
        return len(self._watches) >= self.MAX

    def add(self, watch: Watch) -> None:
        self._watches.add(watch)

    def remove(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def put(self, frame: bytes) -> None:
        for watch in self._watches:
            watch.put(frame)

    def changed(self) -> None:
        self.version += 1
        for watch in self._watches:
            watch.changed()

    def end(self) -> None:
        for watch in self._watches:
            watch.end()
