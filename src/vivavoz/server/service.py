"""What the handlers share: one object a worker, put together by whoever starts it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from vivavoz.cluster.directory import Directory, LocalDirectory, PlaceHere, Placement
from vivavoz.config import Config
from vivavoz.server.admission import Admission
from vivavoz.server.auth import Authenticator
from vivavoz.server.engine_pool import EnginePool
from vivavoz.server.ports import Accept, Calls, Media
from vivavoz.server.stage_metrics import StageMetrics
from vivavoz.server.tokens import Tokens
from vivavoz.wire.options import AnyPatch


async def _admit_all() -> None:
    return


def _new_session_id() -> str:
    return f"sess_{secrets.token_hex(16)}"


def _as_it_is(session: AnyPatch | None) -> AnyPatch | None:
    return session


@dataclass
class Service:
    config: Config
    auth: Authenticator
    tokens: Tokens
    engines: EnginePool
    calls: Calls
    accept: Accept
    directory: Directory = field(default_factory=LocalDirectory)
    placement: Placement = field(default_factory=PlaceHere)
    admission: Admission = field(default_factory=Admission)
    """Whether one more call can be served in time."""
    admit: Callable[[], Awaitable[None]] = _admit_all
    """Awaited once for every attempt to open a call, after its credential was found good. Raises ApiError."""
    new_session_id: Callable[[], str] = _new_session_id
    """For sessions that are agreed on before their call is opened."""
    filled: Callable[[AnyPatch | None], AnyPatch | None] = _as_it_is
    """A session with its stored prompt filled in. Raises ProtocolError."""
    draining: bool = False
    """No new calls: the worker is about to end."""
    media: Media | None = None
    """What metrics tell of it."""
    stages: StageMetrics | None = None
    """What metrics tell of turns and jobs."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests refused, by the code in the answer."""
    sidebands: Counter[str] = field(default_factory=Counter)
    """Open sideband connections by call id."""

    @property
    def extended(self) -> bool:
        """Whether our own extensions are offered: not where Azure is imitated."""
        return not self.config.server.strict_azure


SERVICE = web.AppKey("service", Service)
