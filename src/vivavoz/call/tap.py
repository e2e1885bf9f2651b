"""Who listens in on a call: for logs of what it exchanged with its clients, and for tests of clients, where a
connection is to break after the n-th event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vivavoz.transports.port import Transport
from vivavoz.wire.translation import AnyServerEvent


class Tap(Protocol):
    """Told in the order in which the call handles things, which the same input makes the same."""

    def attached(self, transport: Transport) -> None:
        """The call's own connection, observers' are not told."""
        ...

    def received(self, sender: str, data: str | bytes) -> None:
        """A client's message, whatever it is. ``sender``: ``t1`` is the connection that came first."""
        ...

    def sent(self, event: AnyServerEvent, to: str | None) -> None:
        """Before it goes to its connections. ``to`` None: every connection. Sound that a media path plays
        is not told."""
        ...

    def closed(self, code: int) -> None:
        """The call is over, with this WebSocket close code."""
        ...


OpenTap = Callable[[int, str], Tap]
"""``(number, call_id) -> tap``: the worker's calls are numbered from 1."""
