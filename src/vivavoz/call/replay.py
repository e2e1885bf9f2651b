"""What a call has sent, kept for observers who come later or come back: the newest of it, within a bound."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from vivavoz.wire.extensions import START

_OVERHEAD = 200
"""What keeping one event takes besides its JSON (bytes)."""


class Replay(NamedTuple):
    events: list[bytes]
    complete: bool
    """Nothing is missing between what was asked for and what is here."""


class ReplayLog:
    def __init__(self, limit: int) -> None:
        """``limit``: bytes; 0 keeps nothing."""
        self._limit = limit
        self._events: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._whole = True

    @property
    def keeps(self) -> bool:
        """Whether events are worth encoding for it."""
        return self._limit > 0

    def add(self, event_id: str, event: bytes) -> None:
        """``event`` empty: it was sent to one observer only, who may name it when it comes back."""
        self._events.append((event_id, event))
        self._size += len(event) + _OVERHEAD
        while self._size > self._limit:
            _, dropped = self._events.popleft()
            self._size -= len(dropped) + _OVERHEAD
            self._whole = self._whole and not dropped

    def after(self, event_id: str) -> Replay:
        """Everything that came after that event; where it is not (or no longer) known, all there is."""
        known = 0
        complete = self._whole
        if event_id != START:
            ids = [kept for kept, _ in self._events]
            complete = event_id in ids
            known = len(ids) - ids[::-1].index(event_id) if complete else 0
        kept = list(self._events)[known:]
        return Replay([event for _, event in kept if event], complete)
