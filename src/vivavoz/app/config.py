"""What can be configured of the application: the ``[app]`` table (docs/configuration.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from vivavoz.app.recordings.config import Recordings

Filter = Literal["on", "strict", "off"]
"""What a browser is sent of its call's events: the eleven types of ``webrtcfilter=on``; those without tools
and private items (our own service only); all."""

AtLeastNone = Annotated[int, Meta(ge=0)]
"""A bound where 0 means that there is none."""


class Access(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may use the application, and how its users are told apart."""

    open: bool = False
    """Whoever reaches it may talk, although a key is configured and there is no login."""
    login: Literal["none", "header", "oidc"] = "none"
    """Who says who a user is: nobody; a proxy, in ``header``; an OpenID provider."""
    header: str = "X-Forwarded-User"
    proxies: tuple[str, ...] = ()
    """Addresses or networks whose ``header`` and ``X-Forwarded-For`` are believed (``10.0.0.0/8``)."""
    operators: tuple[str, ...] = ()
    """Users who may see and steer calls; ``*``: all of them."""
    hosts: tuple[str, ...] = ()
    """Host names it is reached under, besides loopback, where neither a key nor a login protects it."""
    public_url: str | None = None
    """The application's address as browsers see it (``https://voice.example.com``); a login needs it."""
    oidc_issuer: str | None = None
    """``https://login.example.com/``; its ``/.well-known/openid-configuration`` is read."""
    oidc_client_id: str | None = None
    oidc_user_claim: str = "email"
    """The claim of the id token that names the user."""


class Budgets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what callers may use; 0: none."""

    user_per_minute: AtLeastNone = 60
    """Requests to ``/token`` and ``/connect`` together."""
    address_per_minute: AtLeastNone = 120
    user_calls: AtLeastNone = 0
    """Calls of one user at the same time; a token counts from when it is made until it has expired."""
    calls: AtLeastNone = 0
    user_minutes_per_day: AtLeastNone = 0
    """Minutes of calls, in the 24 hours before."""
    minutes_per_day: AtLeastNone = 0


class App(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[app]`` table."""

    upstream: Literal["vivavoz", "azure", "openai"] = "vivavoz"
    resource: str | None = None
    """Name of the Azure OpenAI resource: ``https://NAME.openai.azure.com``."""
    endpoint: str | None = None
    """The service's address where it is another (``https://NAME.cognitiveservices.azure.com``)."""
    credential: Literal["auto", "key", "entra"] = "auto"
    """``auto``: the key where one is in the environment, else (Azure) Entra."""
    audience: str | None = None
    """What Entra tokens are asked for; None: what the endpoint's host name wants."""
    model: str | None = None
    """Model or deployment of profiles that name none."""
    profiles: str | None = None
    """TOML file of named profiles; None: there is one, ``default``."""
    default_profile: str = "default"
    tokens: bool = True
    """Whether ``/token`` is served; False: ``/connect`` alone, where no token reaches a browser."""
    token_seconds: Annotated[int, Meta(ge=10, le=7200)] = 60
    """How long a token may wait for the call that it opens."""
    filter: Filter = "on"
    origins: tuple[str, ...] = ()
    """Origins of other pages that may call the application (``https://example.org``)."""
    observe: bool = True
    """Attach to every call, keep its state, run its tools."""
    access: Access = Access()
    budgets: Budgets = Budgets()
    recordings: Recordings = Recordings()
