"""Wrong credentials, counted by address: who shows too many is not listened to for a while.

A bucket of a minute's worth that fills up again evenly. A proxy speaks for many, and one of them must not
shut the others out: what comes from a private address with ``X-Forwarded-For`` is not counted here.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from vivavoz.server.errors import ApiError

_ADDRESSES = 10_000
"""As many are remembered; of more, the one that was heard of least recently is forgotten."""
_IPV6_SITE = 64

_WRONG = frozenset({"invalid_api_key", "invalid_token", "client_secret_invalid", "client_secret_malformed"})
"""Codes of what was never good here. A token that has expired was: its holder guesses nothing."""


class Guesses:
    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``per_minute``: 0 counts nothing."""
        self._per_minute = per_minute
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: what was left in its bucket, and when."""

    def check(self, request: web.Request) -> None:
        """Before a credential is looked at. Raises ApiError (429)."""
        address = self._counted(request)
        if address is None or (left := self._now(address)) >= 1:
            return
        wait = math.ceil((1 - left) * 60 / self._per_minute)
        raise ApiError(
            429,
            f"Too many wrong credentials came from this address. Try again in {wait} s.",
            code="too_many_wrong_credentials",
            type="rate_limit_error",
            headers={"Retry-After": str(wait)},
        )

    def note(self, request: web.Request, refusal: ApiError) -> None:
        """A credential was refused."""
        if refusal.code not in _WRONG or (address := self._counted(request)) is None:
            return
        self._left[address] = (self._now(address) - 1, self._clock())
        self._left.move_to_end(address)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)

    def _now(self, address: str) -> float:
        left, then = self._left.get(address, (self._per_minute, 0.0))
        return min(self._per_minute, left + (self._clock() - then) * self._per_minute / 60)

    def _counted(self, request: web.Request) -> str | None:
        """Whom a request counts for; None: nobody."""
        if not self._per_minute or not request.remote:
            return None
        try:
            address = ipaddress.ip_address(request.remote.partition("%")[0])
        except ValueError:
            return None
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_private and "X-Forwarded-For" in request.headers:
            return None
        if address.version == 6:
            return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))
        return str(address)
