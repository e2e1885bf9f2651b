"""When an engine process counts as stalled."""

from __future__ import annotations

import time

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    ping_s: float = 0.5
    stall_s: float = 2.0
    """No answer to a ping for so long: stalled."""
    loading_stall_s: float = 60.0
    """The same while the engine loads: imports hold the interpreter lock."""
    ready_s: float = 15.0
    """How long a new job waits for a process that is being restarted."""
    reconnect_s: float = 0.1


class Heartbeat:
    """When a process counts as stalled: the oldest unanswered ping is too old.

    Where this worker itself stood still (its own pause between two beats was far too long), the process could
    not be heard, and the clock starts again.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._unanswered_since: float | None = None
        self._last = time.monotonic()

    def heard(self) -> None:
        """Whatever arrives is a sign of life."""
        self._unanswered_since = None

    def beat(self, *, loading: bool) -> bool:
        """Whether it is time for the next ping; False: stalled."""
        now = time.monotonic()
        overslept = now - self._last > self._timing.ping_s + 0.5
        self._last = now
        since = self._unanswered_since
        if since is None or overslept:
            self._unanswered_since = now
        elif now - since > (self._timing.loading_stall_s if loading else self._timing.stall_s):
            return False
        return True
