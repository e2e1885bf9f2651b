"""What the application needs of the service that calls are held with, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import aiohttp
from msgspec import Struct

from vivavoz.app.config import Filter
from vivavoz.app.errors import AppError

Role = Literal["listen", "coach", "control"]


class Abilities(Struct, frozen=True, kw_only=True):
    """What an upstream has beyond the API that all of them share."""

    filter: bool = False
    """``webrtcfilter=on`` works."""
    binds_filter: bool = False
    """A token binds the filter, whatever the browser's query says."""
    roles: bool = False
    replay: bool = False
    audio: bool = False
    stages: bool = False
    """It tells the times of the engines' stages for each turn."""
    lists_calls: bool = False
    one_call_tokens: bool = False


class Secret(Struct, frozen=True, kw_only=True):
    """A client secret. ``expires_at``: unix seconds. ``session``: the effective session, prompts included:
    never for a browser."""

    value: str
    expires_at: int
    session: dict[str, Any] | None = None


class Answer(Struct, frozen=True, kw_only=True):
    sdp: str
    call_id: str | None
    """None: the service did not name its call, which cannot be observed then."""


class LiveCall(Struct, frozen=True, kw_only=True):
    """A row of ``GET /realtime/calls``. ``started_at``: unix seconds."""

    id: str
    session_id: str = ""
    model: str = ""
    started_at: float = 0.0
    filtered: str | bool = "off"
    transport: str = ""
    grant_label: str | None = None


class UpstreamError(AppError):
    """The service could not be asked, or refused: the status and words for our own caller."""


class CallGone(UpstreamError):
    """The service knows no such call (any more)."""

    def __init__(self) -> None:
        super().__init__(404, "The service knows no such call, or it has ended.", "call_id_not_found")


class Upstream(Protocol):
    """Every method raises UpstreamError; every wait is bounded."""

    @property
    def name(self) -> str: ...

    @property
    def abilities(self) -> Abilities: ...

    @property
    def browser_url(self) -> str:
        """Where a browser with a token posts its offer: absolute, or a path where that is this server."""

    async def mint(
        self, session: Mapping[str, Any], *, seconds: int | None, grant: Mapping[str, Any] | None
    ) -> Secret:
        """``session``: a session object of the Realtime reference. ``grant`` is used where
        ``abilities.binds_filter``, and ignored elsewhere, as in :meth:`connect`."""

    async def connect(
        self,
        offer: str,
        session: Mapping[str, Any],
        *,
        filtered: Filter,
        grant: Mapping[str, Any] | None,
    ) -> Answer: ...

    async def observe(
        self,
        call_id: str,
        *,
        role: Role = "control",
        after: str | None = None,
        audio: bool = False,
        extras: tuple[str, ...] = (),
    ) -> aiohttp.ClientWebSocketResponse:
        """The sideband of a call; the caller closes it. What the service does not have (``abilities``) is
        not asked of it. Raises CallGone."""

    async def hangup(self, call_id: str) -> None:
        """A call that is gone already is fine."""

    async def live_calls(self, cursor: str | None, wait_s: float) -> tuple[list[LiveCall], str]:
        """All calls and the next cursor; returns when they differ from the cursor's, or after ``wait_s``.
        Only where ``abilities.lists_calls``."""

    async def close(self) -> None: ...
