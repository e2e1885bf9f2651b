"""The one clock of all calls: every 20 ms each member's turn comes, the members spread over slots so that
packets leave evenly. One timer, no task."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

FRAME = 0.02
_CATCH_UP = 5  # frames made up for after a stall; what is more is skipped
_EARLY = 0.0005  # timers may fire this much too soon


class Paced(Protocol):
    def tick(self, now: float, skipped: int) -> None:
        """One frame is due at ``now`` (monotonic s), after ``skipped`` that never were. Must not raise."""
        ...


class Lateness:
    """How late turns have come of late. Pure: times are arguments."""

    WINDOW = 5.0
    """s"""
    FEWEST = 100
    """Turns that it takes to tell."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, float]] = deque(maxlen=2048)

    def add(self, now: float, late: float) -> None:
        self._kept.append((now, late))

    def p99(self, now: float) -> float:
        """Seconds that one turn in a hundred came later than, in the last ``WINDOW``; 0.0 for few turns."""
        while self._kept and self._kept[0][0] < now - self.WINDOW:
            self._kept.popleft()
        if len(self._kept) < self.FEWEST:
            return 0.0
        return sorted(late for _, late in self._kept)[len(self._kept) * 99 // 100]


class Slots:
    """Which slot is due when. Pure: times are arguments."""

    def __init__(self, count: int) -> None:
        self.lateness = Lateness()
        self._members: list[list[Paced]] = [[] for _ in range(count)]
        self._step = FRAME / count
        self._origin = 0.0
        self._index = 0
        self._skipped = [0] * count

    def __len__(self) -> int:
        return sum(map(len, self._members))

    def add(self, member: Paced, now: float) -> None:
        if not len(self):
            self._origin, self._index = now, 1
            self._skipped = [0] * len(self._members)
        min(self._members, key=len).append(member)

    def remove(self, member: Paced) -> None:
        for slot in self._members:
            if member in slot:
                slot.remove(member)

    def run(self, now: float) -> float:
        """Let all that is due happen; the time of the next slot that has members."""
        due = math.floor((now + _EARLY - self._origin) / self._step)
        count = len(self._members)
        late = (due - self._index) // count - _CATCH_UP
        if late > 0:
            self._index += late * count
            self._skipped = [skipped + late for skipped in self._skipped]
        while self._index <= due and len(self):
            slot = self._index % count
            if self._members[slot]:
                self.lateness.add(now, max(0.0, now - self._origin - self._index * self._step))
            self._index += 1
            skipped, self._skipped[slot] = self._skipped[slot], 0
            for member in tuple(self._members[slot]):
                member.tick(now, skipped)
        following = self._index
        while not self._members[following % count] and following < self._index + count:
            following += 1
        return self._origin + following * self._step


class Pacer:
    """:class:`Slots` on an event loop; the timer runs while there are members.

    ``after_stall`` is called before the turns when the loop was kept from them for a frame or more: some
    loops run timers before they read sockets, and what has long arrived should not pass for missing.
    """

    def __init__(self, *, slots: int = 4, after_stall: Callable[[], None] | None = None) -> None:
        self._slots = Slots(slots)
        self._after_stall = after_stall
        self._expected = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def late(self) -> float:
        """Seconds that one turn in a hundred came later than, of late."""
        return self._slots.lateness.p99(time.monotonic())

    def add(self, member: Paced) -> None:
        self._slots.add(member, time.monotonic())
        if self._timer is None:
            self._arm(FRAME / 4)

    def remove(self, member: Paced) -> None:
        self._slots.remove(member)
        if not len(self._slots):
            self.stop()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, delay: float) -> None:
        # Not below 1 ms: some loops round timers to whole milliseconds and would spin.
        delay = max(0.001, delay)
        self._expected = time.monotonic() + delay
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._after_stall is not None and time.monotonic() - self._expected > FRAME:
            self._after_stall()
        following = self._slots.run(time.monotonic())
        if len(self._slots) and self._timer is None:
            self._arm(following - time.monotonic())
