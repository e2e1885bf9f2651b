"""What the HTTP side needs of the calls and of the media, and no more than that."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from vivavoz.call.stages import JobKind
from vivavoz.media.ports import EngineStats
from vivavoz.transports.dialect import Dialect
from vivavoz.transports.port import Attachment, ObserverTransport, Transport
from vivavoz.wire.extensions import Observing
from vivavoz.wire.grants import Filter, Grant
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.rest import CallEntry
from vivavoz.wire.translation import TranslationPatch


class OpenCall(Protocol):
    """One live call."""

    @property
    def id(self) -> str: ...

    @property
    def session_id(self) -> str: ...

    @property
    def conversation_id(self) -> str: ...

    @property
    def closed(self) -> asyncio.Event: ...

    def attach(self, transport: Transport) -> Attachment: ...

    def observe(self, transport: ObserverTransport, wants: Observing) -> Attachment: ...

    def hangup(self, reason: str) -> None: ...


class Calls(Protocol):
    """The calls alive in this worker."""

    def open(
        self,
        session: AnyPatch | None,
        model: str | None,
        *,
        session_id: str | None = None,
        client: str = "",
        grant: Grant | None = None,
        account: str = "",
    ) -> OpenCall:
        """``account``: whose tokens it uses. Raises AtCapacity, UnknownModel, ProtocolError."""
        ...

    def open_translation(
        self,
        session: TranslationPatch | None,
        model: str,
        *,
        session_id: str | None = None,
        client: str = "",
    ) -> OpenCall:
        """Raises AtCapacity, UnknownModel, ProtocolError."""
        ...

    def check(self, session: AnyPatch | None, model: str) -> None:
        """Whether a call could begin so; raises as :meth:`open` does."""
        ...

    def get(self, call_id: str) -> OpenCall | None: ...

    def __len__(self) -> int: ...

    def jobs(self) -> Counter[JobKind]:
        """Work that engines do for calls just now, or that waits for them."""
        ...

    @property
    def version(self) -> str:
        """Names the set of calls that :meth:`entries` tells; another set has another one, for ever."""
        ...

    def entries(self) -> list[CallEntry]: ...

    async def other_than(self, version: str) -> None:
        """Wait until the set is not the one of that version."""
        ...


class Media(Protocol):
    """The media path's own counters."""

    @property
    def calls(self) -> int: ...

    @property
    def stats(self) -> EngineStats: ...

    @property
    def late_ms(self) -> float: ...


Accept = Callable[[str, OpenCall, Filter, Dialect], str]
"""``(offer, call, filter, dialect) -> answer``: a WebRTC transport for the call. Raises MediaError."""
