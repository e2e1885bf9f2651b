"""Which worker holds a call, and which one takes a new one.

Everything that looks a call up asks a :class:`Directory`; everything that opens one asks a
:class:`Placement`. More workers, more nodes or a cluster's own directory are other implementations of these
two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

_CALL_ID = re.compile(r"rtc_[0-9a-f]{32}")

TAG_DIGITS = 2
"""A call id is ``rtc_`` and 32 hex digits, of which the first two are the tag of the worker it lives in."""


class Here(NamedTuple):
    """In this worker, if anywhere."""


class Elsewhere(NamedTuple):
    """In a worker that listens on this unix socket."""

    socket: Path


Place = Here | Elsewhere


class Directory(Protocol):
    async def find(self, call_id: str) -> Place | None:
        """Where a call would be. None: an id that no worker can have given out."""
        ...

    @property
    def own_tag(self) -> str: ...

    @property
    def own_socket(self) -> Path | None:
        """Where this worker listens for the others; None: there are none."""
        ...

    @property
    def others(self) -> Mapping[str, Elsewhere]:
        """All the other workers, by tag."""
        ...


class Placement(Protocol):
    async def place(self, model: str) -> Place:
        """Where a new call of ``model`` shall live."""
        ...

    async def keep_saying(self) -> None:
        """Tell the others how much there is to do here, until cancelled."""
        ...


def worker_tag(index: int) -> str:
    """The tag inside the ids of the calls of worker ``index`` (0..255)."""
    if not 0 <= index < 16**TAG_DIGITS:
        raise ValueError(f"no worker can have the number {index}")
    return f"{index:0{TAG_DIGITS}x}"


class LocalDirectory:
    """One worker: every call is here."""

    own_tag = worker_tag(0)
    own_socket: Path | None = None
    others: Mapping[str, Elsewhere] = {}

    async def find(self, call_id: str) -> Place | None:
        return Here() if _CALL_ID.fullmatch(call_id) else None


class WorkerDirectory:
    """The workers of one machine: the tag in the id says which one, so nothing is shared or looked up."""

    def __init__(self, own_tag: str, sockets: Mapping[str, Path]) -> None:
        """``sockets``: the unix sockets of all workers, by tag."""
        self.own_tag = own_tag
        self.own_socket: Path | None = sockets.get(own_tag)
        self.others = {tag: Elsewhere(path) for tag, path in sockets.items() if tag != own_tag}

    async def find(self, call_id: str) -> Place | None:
        if not _CALL_ID.fullmatch(call_id):
            return None
        tag = call_id.removeprefix("rtc_")[:TAG_DIGITS]
        return Here() if tag == self.own_tag else self.others.get(tag)


class PlaceHere:
    """A new call lives where its request arrived: the kernel has spread the connections already."""

    async def place(self, model: str) -> Place:
        return Here()

    async def keep_saying(self) -> None:
        """There is nobody to tell."""
