"""What the handlers share: one object a worker, put together by whoever starts it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from vivavoz.cluster.directory import Directory, LocalDirectory, PlaceHere, Placement
from vivavoz.config import Config
from vivavoz.server.auth import Authenticator
from vivavoz.server.engine_pool import EnginePool
from vivavoz.server.ports import Accept, Calls
from vivavoz.server.tokens import Tokens


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
    draining: bool = False
    """No new calls: the worker is about to end."""
    sidebands: Counter[str] = field(default_factory=Counter)
    """Open sideband connections by call id."""


SERVICE = web.AppKey("service", Service)
