"""What an observer has missed of its call: the gaps, and what the service replays of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vivavoz.app.observer.ports import CallInfo, Observed
from vivavoz.app.upstream.port import Abilities

MAX_HELD = 50_000
"""Events that are held back while the service replays a call."""
LATE_S = 1.0
"""A call that is attached to later than this may have said something before."""

Held = tuple[float, dict[str, Any], bytes]
"""An event: when it came, the event, and its JSON."""


class Continuity:
    """``seen``: how far an observer before this one came. ``gap`` is told since, until and reason."""

    def __init__(
        self,
        info: CallInfo,
        able: Abilities,
        seen: Observed | None,
        gap: Callable[[float, float, str], None],
    ) -> None:
        self.seen = seen
        self.lost_at: float | None = None
        self._info = info
        self._able = able
        self._gap = gap
        self._past = seen is not None or info.origin == "adopted"
        """Whether the call has gone on for a while, unobserved."""
        self._held: list[Held] | None = None

    @property
    def holding(self) -> bool:
        """Whether events are held back until the service has told all of the past."""
        return self._held is not None

    def attaching(self) -> None:
        if self._able.replay and self._past:
            self._held = []

    def attached(self) -> None:
        if not self._able.replay:
            self._mark()

    def hold(self, held: Held) -> bool:
        """Whether the event is kept back."""
        if self._held is None or len(self._held) >= MAX_HELD:
            return False
        self._held.append(held)
        return True

    def release(self) -> list[Held]:
        """The past, as far as it was told; what comes next is the present."""
        held, self._held = self._held, None
        return held or []

    def caught_up(self, *, complete: bool) -> None:
        """The service has told what it remembers; ``complete``: nothing that it was asked for is missing."""
        # Sound is not replayed: a recording misses it.
        silent = self.lost_at is not None and self._info.record and self._able.audio
        if self.seen is not None or silent or not complete:
            self._mark(certain=True)
        self._whole()

    def _mark(self, *, certain: bool = False) -> None:
        """Events between the last and now may be missing; ``certain``: they are."""
        now = time.time()
        if self.seen is not None:
            self._gap(self.seen.seen_at, now, "the observer was restarted")
        elif self.lost_at is not None:
            self._gap(self.lost_at, now, "the observer was not attached")
        elif certain or self._info.origin != "connect" or now - self._info.started_at > LATE_S:
            self._gap(self._info.started_at, now, "the observer was not attached yet")
        self._whole()

    def _whole(self) -> None:
        self.seen = self.lost_at = None
        self._past = False
