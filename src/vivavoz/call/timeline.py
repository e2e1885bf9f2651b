"""Where sound lies in a call: samples at 24 kHz since the call's start, one count for both of its voices."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

RATE = 24_000


class Timeline:
    """One track. Its sound is laid end to end, as the samples say; only where the clock is ahead of them by
    more than ``slack`` was there a pause, and the position goes on from the clock."""

    def __init__(self, slack: int) -> None:
        """``slack``: samples."""
        self._slack = slack
        self._end: int | None = None

    def place(self, begins: int, samples: int) -> int:
        """Where ``samples`` lie that begin, by the clock, at ``begins``."""
        begins = max(begins, 0)
        if self._end is None or begins - self._end > self._slack:
            self._end = begins
        position = self._end
        self._end += samples
        return position


class ClientPlayout:
    """The sound that a WebSocket client was sent and plays itself: taken to be heard at once, piece after
    piece, in real time. A truncation says how much of an item was; the rest of it is taken away."""

    def __init__(self, limit: int, dropped: Callable[[int, int], None]) -> None:
        """``limit``: the samples that may wait. ``dropped(position, samples)`` is told of more."""
        self._limit = limit
        self._dropped = dropped
        self._pieces: deque[tuple[str, int, bytes]] = deque()
        """(item, where in the item, sound)"""
        self._waiting = 0
        self._next = 0
        self._sent: tuple[str, int] = ("", 0)

    @property
    def waiting(self) -> bool:
        return bool(self._pieces)

    def add(self, now: int, item_id: str, pcm: bytes) -> None:
        samples = len(pcm) // 2
        offset = self._sent[1] if self._sent[0] == item_id else 0
        self._sent = (item_id, offset + samples)
        if self._waiting + samples > self._limit:
            self._dropped(self._next + self._waiting, samples)
            return
        if not self._pieces:
            self._next = max(self._next, now)
        self._pieces.append((item_id, offset, pcm))
        self._waiting += samples

    def due(self, now: int) -> Iterator[tuple[int, bytes]]:
        """(position, sound) of what was heard until ``now``."""
        while self._pieces and now > self._next:
            item_id, offset, pcm = self._pieces.popleft()
            samples = min(len(pcm) // 2, now - self._next)
            if 2 * samples < len(pcm):
                self._pieces.appendleft((item_id, offset + samples, pcm[2 * samples :]))
            yield self._next, pcm[: 2 * samples]
            self._next += samples
            self._waiting -= samples

    def truncate(self, item_id: str, end: int) -> None:
        """Of the item, nothing was heard from its sample ``end`` on."""
        kept: deque[tuple[str, int, bytes]] = deque()
        for item, offset, pcm in self._pieces:
            left = pcm if item != item_id else pcm[: 2 * max(0, end - offset)]
            if left:
                kept.append((item, offset, left))
        self._pieces = kept
        self._waiting = sum(len(pcm) // 2 for _, _, pcm in kept)
