"""A worker that cannot keep pace takes no new calls: those it has would suffer.

Its measure is its own media clock: how late every fiftieth of a second comes for each call.
"""

from __future__ import annotations

from collections.abc import Callable

from vivavoz.server.errors import unavailable

RESUME = 0.5
"""Calls are taken again once it is late by no more than this share of the bound."""
RETRY_S = 5.0


class Admission:
    """``bound_ms``: one turn in a hundred may be so late; 0: any. ``late_ms``: by how much it is.
    ``calls``: how many there are; with none, the next one is always taken."""

    def __init__(
        self,
        bound_ms: float = 0.0,
        late_ms: Callable[[], float] = lambda: 0.0,
        calls: Callable[[], int] = lambda: 0,
    ) -> None:
        self._bound_ms = bound_ms
        self._late_ms = late_ms
        self._calls = calls
        self._overloaded = False

    @property
    def overloaded(self) -> bool:
        bound_ms = self._bound_ms * (RESUME if self._overloaded else 1.0)
        self._overloaded = self._bound_ms > 0 and self._calls() > 0 and self._late_ms() > bound_ms
        return self._overloaded

    def check(self) -> None:
        """Raises ApiError (503)."""
        if self.overloaded:
            raise unavailable(
                "The server has as many calls as it can serve in time. Try again shortly.",
                code="server_overloaded",
                retry_after_s=RETRY_S,
            )
