"""Which of several workers takes a new call: the one that holds the fewest.

The workers share a page of memory with a line for each: how many calls it has, whether it takes more, and
when it last said so. A line is written by its own worker alone, a few times a second and before each choice;
one that grows old is that of a worker that is gone.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vivavoz.cluster.directory import TAG_DIGITS, Directory, Here, Place

SAID_EVERY_S = 0.25
STALE_S = 2.0
"""A worker that has said nothing for so long is not counted on."""

_LINE = struct.Struct("<dII")


class Load(NamedTuple):
    """What a worker says of itself."""

    calls: int
    takes: bool
    """Whether it takes new calls: its engines are ready, it keeps pace, and it is not about to end."""


class _Said(NamedTuple):
    at: float
    load: Load


class LoadBoard:
    """The shared page: a file in the folder of the workers' sockets. Raises OSError."""

    def __init__(self, path: Path) -> None:
        size = 16**TAG_DIGITS * _LINE.size
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, size)
            self._page = mmap.mmap(handle, size)
        finally:
            os.close(handle)

    def say(self, tag: str, load: Load, now: float) -> None:
        """``now``: of a clock that all processes share (s, ``time.monotonic``)."""
        at = int(tag, 16) * _LINE.size
        self._page[at : at + _LINE.size] = _LINE.pack(now, load.calls, load.takes)

    def said(self, tag: str) -> _Said:
        at, calls, takes = _LINE.unpack_from(self._page, int(tag, 16) * _LINE.size)
        return _Said(at, Load(calls, bool(takes)))

    def close(self) -> None:
        self._page.close()


class PlaceByLoad:
    """A :class:`~vivavoz.cluster.directory.Placement`. A call stays where its request arrived unless another
    worker has fewer, or this one takes none."""

    def __init__(
        self,
        board: LoadBoard,
        directory: Directory,
        own: Callable[[], Load],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._directory = directory
        self._own = own
        self._clock = clock
        self._sent: dict[str, tuple[float, int]] = {}
        """Calls sent to each since it last said how many it has."""

    async def place(self, model: str) -> Place:
        own = self._say()
        others = {tag: self._expected(tag) for tag in self._directory.others}
        taking = {tag: calls for tag, calls in others.items() if calls is not None}
        if not taking:
            return Here()
        fewest = min(taking, key=lambda tag: (taking[tag], tag))
        if own.takes and own.calls <= taking[fewest]:
            return Here()
        at, sent = self._sent.get(fewest, (0.0, 0))
        said = self._board.said(fewest).at
        self._sent[fewest] = (said, sent + 1 if at == said else 1)
        return self._directory.others[fewest]

    async def keep_saying(self) -> None:
        """Until cancelled."""
        while True:
            self._say()
            await asyncio.sleep(SAID_EVERY_S)

    def _say(self) -> Load:
        own = self._own()
        self._board.say(self._directory.own_tag, own, self._clock())
        return own

    def _expected(self, tag: str) -> int | None:
        """How many calls another worker has, as far as is known; None: it takes no more."""
        said = self._board.said(tag)
        if not said.load.takes or not 0 <= self._clock() - said.at <= STALE_S:
            return None
        at, sent = self._sent.get(tag, (0.0, 0))
        return said.load.calls + (sent if at == said.at else 0)
