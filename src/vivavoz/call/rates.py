"""How many tokens an account may still use: a bucket for each, which fills up again within a minute.

In memory, of this worker. A bucket that is full again is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MAX_ACCOUNTS = 10_000
"""Buckets kept at once; of more, the one that is nearest to being full is forgotten."""

MINUTE_S = 60.0


class Left(NamedTuple):
    """``remaining`` of ``limit`` tokens; ``reset_seconds``: until all of them are there again."""

    limit: int
    remaining: int
    reset_seconds: float


class _Bucket:
    def __init__(self, level: float, at: float) -> None:
        self.level = level
        self.at = at


class TokenRates:
    """Of all accounts. ``clock``: seconds, never backwards."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        """``limit``: tokens a minute."""
        self._limit = limit
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, account: str) -> TokenRate:
        return TokenRate(self, account)

    def left(self, account: str) -> Left:
        bucket = self._filled(account)
        level = float(self._limit) if bucket is None else bucket.level
        missing = self._limit - level
        return Left(self._limit, max(0, int(level)), round(missing / self._limit * MINUTE_S, 3))

    def spend(self, account: str, tokens: int) -> None:
        """They are gone, even if there were not as many: it takes the longer."""
        if tokens <= 0:
            return
        bucket = self._filled(account)
        if bucket is None:
            self._make_room()
            bucket = self._buckets[account] = _Bucket(float(self._limit), self._clock())
        bucket.level -= tokens

    def _filled(self, account: str) -> _Bucket | None:
        """The bucket as it is now; None where it is full."""
        bucket = self._buckets.get(account)
        if bucket is None:
            return None
        now = self._clock()
        bucket.level += (now - bucket.at) * self._limit / MINUTE_S
        bucket.at = now
        if bucket.level >= self._limit:
            del self._buckets[account]
            return None
        return bucket

    def _make_room(self) -> None:
        if len(self._buckets) < MAX_ACCOUNTS:
            return
        for account in list(self._buckets):
            self._filled(account)
        if len(self._buckets) >= MAX_ACCOUNTS:
            del self._buckets[max(self._buckets, key=lambda account: self._buckets[account].level)]


class TokenRate:
    """One account's."""

    def __init__(self, rates: TokenRates, account: str) -> None:
        self._rates = rates
        self._account = account

    def spend(self, tokens: int) -> Left:
        """Take them off; what is left then."""
        self._rates.spend(self._account, tokens)
        return self._rates.left(self._account)

    def refusal(self) -> str | None:
        """Why there is nothing to be had now; None where there is."""
        left = self._rates.left(self._account)
        if left.remaining > 0:
            return None
        wait = max(0.1, left.reset_seconds - MINUTE_S) + MINUTE_S / left.limit
        limit = f"tokens per min (TPM): Limit {left.limit}"
        return f"Rate limit reached on {limit}. Please try again in {wait:.1f}s."


__all__ = ["Left", "TokenRate", "TokenRates"]
