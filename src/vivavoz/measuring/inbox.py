"""What a call's client has been told, and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
_MOST = 50_000
"""Events of one call; an endpoint that sends more is not listened to further."""


class Ended(Exception):
    """The connection is gone; the text says how."""


class Inbox:
    """``events`` keeps ``(arrived, event)``, on ``time.time()``'s clock."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Event]] = []
        self.unreadable = 0
        """Messages that were no JSON object with a ``type``."""
        self.ended: str | None = None
        """How the connection ended; None while it lives."""
        self._changed = asyncio.Event()

    def put(self, arrived: float, text: str | bytes) -> Event | None:
        """A message; the event it was, if it was one."""
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            self.unreadable += 1
            return None
        if len(self.events) < _MOST:
            self.events.append((arrived, event))
        else:
            self.end(f"more than {_MOST} events came")
        self._changed.set()
        return event

    def end(self, reason: str) -> None:
        """Nothing comes any more."""
        self.ended = self.ended or reason
        self._changed.set()

    def first(self, *kinds: str, after: float = 0.0) -> tuple[float, Event] | None:
        """The first event of these types that arrived after a moment, of those that are here."""
        return next(((at, each) for at, each in self.events if at > after and each["type"] in kinds), None)

    async def wait_for(
        self,
        *kinds: str,
        after: float = 0.0,
        timeout_s: float = 30.0,
        where: Callable[[Event], bool] | None = None,
    ) -> tuple[float, Event]:
        """The first event of these types, and like that, which arrived after a moment.

        Raises TimeoutError, :class:`Ended`.
        """
        looked_at = 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for arrived, event in self.events[looked_at:]:
                        if arrived > after and event["type"] in kinds and (where is None or where(event)):
                            return arrived, event
                    looked_at = len(self.events)
                    if self.ended is not None:
                        raise Ended(self.ended)
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no {' or '.join(kinds)} within {timeout_s:g} s") from None
