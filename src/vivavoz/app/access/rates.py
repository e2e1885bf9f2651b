"""How often somebody may ask: the generic cell rate algorithm, for a bounded number of names."""

from __future__ import annotations

from throttled import MemoryStore, Throttled
from throttled.rate_limiter import per_min

from vivavoz.app.errors import AppError

MAX_NAMES = 20_000
"""Names that are remembered; whoever was not seen for longest is forgotten first."""


class Rate:
    """``per_minute`` requests of one name, of which all may come at once; 0: any number."""

    def __init__(self, whose: str, per_minute: int) -> None:
        """``whose``: as errors name it, ``user`` or ``address``."""
        self._whose = whose
        self._per_minute = per_minute
        self._throttle = (
            Throttled(
                using="gcra",
                quota=per_min(per_minute, burst=per_minute),
                store=MemoryStore(options={"MAX_SIZE": MAX_NAMES}),
                key=whose,
            )
            if per_minute
            else None
        )

    def take(self, name: str) -> None:
        """Raises AppError (429)."""
        if self._throttle is None:
            return
        result = self._throttle.limit(f"{self._whose}:{name}")
        if result.limited:
            raise AppError(
                429,
                f"Too many calls from this {self._whose}: {self._per_minute} a minute are allowed.",
                "rate_limited",
                None,
                max(result.state.retry_after, 1.0),
            )


class WrongKeys:
    """Addresses that show too many wrong keys are not listened to for a while: nobody shall guess one."""

    PER_MINUTE = 30

    def __init__(self) -> None:
        self._throttle = Throttled(
            using="gcra",
            quota=per_min(self.PER_MINUTE, burst=self.PER_MINUTE),
            store=MemoryStore(options={"MAX_SIZE": MAX_NAMES}),
        )

    def check(self, address: str) -> None:
        """Before a key is looked at. Raises AppError (429)."""
        if self._throttle.peek(address).remaining < 1:
            raise AppError(
                429,
                "Too many wrong keys came from this address.",
                "too_many_wrong_credentials",
                None,
                60 / self.PER_MINUTE,
            )

    def note(self, address: str) -> None:
        """A key was wrong."""
        self._throttle.limit(address)
