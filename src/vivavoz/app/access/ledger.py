"""Who has calls now, and how many minutes of them in the last day: what budgets are counted by."""

from __future__ import annotations

import heapq
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from vivavoz.app.config import Budgets
from vivavoz.app.errors import AppError

DAY_S = 86_400.0
_HOUR_S = 3_600.0
LONGEST_CALL_S = 7_200.0
"""A call whose end nobody told is over by then: services end theirs after an hour."""
_MAX_CALLS = 20_000
_MAX_USERS = 20_000
_EVERYBODY = ""


class _Live:
    __slots__ = ("started_at", "user")

    def __init__(self, user: str, started_at: float) -> None:
        self.user = user
        self.started_at = started_at


class Reservation:
    """The place of a call that may begin until ``until`` (unix seconds)."""

    __slots__ = ("held", "until", "user")

    def __init__(self, user: str, until: float) -> None:
        self.user = user
        self.until = until
        self.held = True

    def __lt__(self, other: Reservation) -> bool:
        return self.until < other.until


class Ledger:
    """Times are unix seconds. Bounded: of too many users and calls the oldest are forgotten."""

    def __init__(self, budgets: Budgets, clock: Callable[[], float] = time.time) -> None:
        self._budgets = budgets
        self._clock = clock
        self._live: OrderedDict[str, _Live] = OrderedDict()
        self._reserved: list[Reservation] = []
        """A heap, with those in it that are not held any more."""
        self._places: Counter[str] = Counter()
        """Calls and held reservations, by user."""
        self._hour = 0.0
        self._used: OrderedDict[str, dict[int, float]] = OrderedDict()
        """Seconds of ended calls, by user and by hour since the epoch."""

    def reserve(self, user: str, seconds: float) -> Reservation:
        """A place for one call of ``user`` that must begin within ``seconds``. Raises AppError (429)."""
        self._forget()
        budgets = self._budgets
        mine = self.calls(user)
        if budgets.user_calls and mine >= budgets.user_calls:
            raise _refused(
                f"You have {mine} calls (or tokens for calls); {budgets.user_calls} are allowed at once.",
                "too_many_calls",
                self._soonest(),
            )
        everybody = self.calls()
        if budgets.calls and everybody >= budgets.calls:
            raise _refused(
                f"All {budgets.calls} calls that are allowed at once are taken.",
                "too_many_calls",
                self._soonest(),
            )
        left = self.seconds_left(user)
        if left is not None and left < 1:
            raise _refused("The minutes of calls for one day are used up.", "minutes_used_up", _HOUR_S)
        reservation = Reservation(user, self._clock() + seconds)
        if budgets.user_calls or budgets.calls:
            heapq.heappush(self._reserved, reservation)
            self._places[user] += 1
        else:
            reservation.held = False
        return reservation

    def release(self, reservation: Reservation) -> None:
        """No call will come of it."""
        if reservation.held:
            reservation.held = False
            self._leave(reservation.user)

    def started(
        self,
        call_id: str,
        user: str,
        started_at: float | None = None,
        reservation: Reservation | None = None,
    ) -> None:
        """A call is live; told twice, it is counted once. Without a ``reservation`` it takes one of its
        user's: a token's."""
        if call_id in self._live:
            # Heard of from elsewhere first; it has taken a place already.
            if reservation is not None:
                self.release(reservation)
            return
        if reservation is None:
            reservation = next((each for each in self._reserved if each.held and each.user == user), None)
        if reservation is not None:
            self.release(reservation)
        self._live[call_id] = _Live(user, self._clock() if started_at is None else started_at)
        self._places[user] += 1
        while len(self._live) > _MAX_CALLS:
            self.ended(next(iter(self._live)))

    def ended(self, call_id: str, at: float | None = None) -> None:
        """A call is over; one that is not known is nobody's."""
        live = self._live.pop(call_id, None)
        if live is not None:
            self._leave(live.user)
            self.used(live.user, live.started_at, self._clock() if at is None else at)

    def used(self, user: str, started_at: float, ended_at: float) -> None:
        """Count a call that is over; after a restart, those of the last day that are on record."""
        seconds = min(max(0.0, ended_at - started_at), LONGEST_CALL_S)
        for name in (user, _EVERYBODY):
            hours = self._used.setdefault(name, {})
            hour = int(ended_at // _HOUR_S)
            hours[hour] = hours.get(hour, 0.0) + seconds
            self._used.move_to_end(name)
        while len(self._used) > _MAX_USERS:
            self._used.popitem(last=False)

    def calls(self, user: str | None = None) -> int:
        """Live and reserved; None: of everybody."""
        return self._places.total() if user is None else self._places[user]

    def seconds_used(self, user: str | None = None) -> float:
        """In the last day, live calls included; None: of everybody."""
        now = self._clock()
        hours = self._used.get(_EVERYBODY if user is None else user, {})
        ended = sum(seconds for hour, seconds in hours.items() if (hour + 1) * _HOUR_S > now - DAY_S)
        return ended + sum(
            max(0.0, now - each.started_at)
            for each in self._live.values()
            if user is None or each.user == user
        )

    def seconds_left(self, user: str) -> float | None:
        """How long ``user`` may still talk today; None: as long as they like."""
        left = []
        if self._budgets.user_minutes_per_day:
            left.append(self._budgets.user_minutes_per_day * 60 - self.seconds_used(user))
        if self._budgets.minutes_per_day:
            left.append(self._budgets.minutes_per_day * 60 - self.seconds_used())
        return min(left) if left else None

    def overdue(self) -> list[str]:
        """Live calls whose user has no minutes left."""
        if not (self._budgets.user_minutes_per_day or self._budgets.minutes_per_day):
            return []
        users = {each.user for each in self._live.values()}
        over = {user for user in users if (self.seconds_left(user) or 0.0) <= 0}
        return [call_id for call_id, each in self._live.items() if each.user in over]

    def _leave(self, user: str) -> None:
        self._places[user] -= 1
        if not self._places[user]:
            del self._places[user]

    def _forget(self) -> None:
        now = self._clock()
        while self._reserved and (not self._reserved[0].held or self._reserved[0].until <= now):
            self.release(heapq.heappop(self._reserved))
        while self._live:
            call_id, live = next(iter(self._live.items()))
            if now - live.started_at <= LONGEST_CALL_S:
                break
            self.ended(call_id, live.started_at + LONGEST_CALL_S)
        if now - self._hour > _HOUR_S:
            self._hour = now
            for hours in self._used.values():
                for hour in [hour for hour in hours if (hour + 1) * _HOUR_S <= now - DAY_S]:
                    del hours[hour]

    def _soonest(self) -> float:
        """When a place may be free, as far as one can say."""
        return min(self._reserved[0].until - self._clock(), 30.0) if self._reserved else 30.0


def _refused(message: str, code: str, retry_after_s: float) -> AppError:
    return AppError(429, message, code, None, retry_after_s)
