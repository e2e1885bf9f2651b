"""The one timer of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Rings at the session's deadline, which any step may move."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, deadline: float | None) -> None:
        """``deadline``: on the loop's clock (s); None: never. Cheap where it has not moved."""
        if deadline == self._deadline:
            return
        self.cancel()
        self._deadline = deadline
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._due)

    def cancel(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        # Forgotten before it rings: a deadline that is not quite there yet is set again by the next step.
        self._deadline = self._timer = None
        self._ring()
