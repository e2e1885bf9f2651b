"""The application: its parts, put together from a plan, and the HTTP that they answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from aiohttp import web

from vivavoz.app.access import Access
from vivavoz.app.access.ledger import Ledger
from vivavoz.app.access.origins import is_loopback
from vivavoz.app.config import App, Filter
from vivavoz.app.entry import Entry
from vivavoz.app.errors import SetupError, json_errors, where
from vivavoz.app.observer.ports import CallInfo
from vivavoz.app.plan import Plan
from vivavoz.app.profiles import Profile, Profiles
from vivavoz.app.secrets import OPERATOR_KEYS, operator_keys
from vivavoz.app.setup import announce, login_of, profiles_of
from vivavoz.app.upstream.build import Built, build_upstream
from vivavoz.app.upstream.entra import TokenSource
from vivavoz.app.upstream.port import Abilities, Upstream, UpstreamError

log = logging.getLogger("vivavoz.app")

_MAX_BODY = 2 * 1024 * 1024
_OVERDUE_S = 5.0
"""How often budgets of minutes are looked at."""
_AGAIN_S = 1.0

Definitions = Callable[[Sequence[str]], list[dict[str, Any]]]
"""``("package.module:function", …) -> the definitions that a session object lists``."""


class Part(Protocol):
    """Something of the application with routes of its own, and work that goes on meanwhile."""

    def routes(self) -> Iterable[web.AbstractRouteDef]: ...

    async def run(self) -> None:
        """Until cancelled; a part without such work returns at once."""


class Application:
    """``started`` is told of each call that goes through ``/connect``, at once; it may not block."""

    def __init__(
        self,
        config: App,
        upstream: Upstream,
        profiles: Profiles,
        access: Access,
    ) -> None:
        self.config = config
        self.upstream = upstream
        self.profiles = profiles
        self.access = access
        self.ledger = access.ledger
        self.started: Callable[[CallInfo], None] | None = None
        self.definitions: Definitions | None = None
        self.recordings = False
        """Whether calls can be recorded."""
        self.parts: list[Part] = []
        self._sessions: dict[str, dict[str, Any]] = {}

    @property
    def filtered(self) -> Filter:
        """What browsers are sent, as far as the upstream has it."""
        return self.config.filter if self.upstream.abilities.filter else "off"

    @property
    def browser_reads_session(self) -> dict[str, bool]:
        return readers(self.upstream.abilities, self.config.filter)

    def session_of(self, profile: Profile) -> Mapping[str, Any]:
        """What the service is sent: the profile's session, with its functions among the tools; those that it
        describes itself stay as they are."""
        found = self._sessions.get(profile.name)
        if found is None:
            found = dict(profile.session)
            if profile.tools and self.definitions is not None:
                described = found.get("tools", [])
                names = {tool.get("name") for tool in described}
                more = [each for each in self.definitions(profile.tools) if each["name"] not in names]
                found["tools"] = [*described, *more]
            self._sessions[profile.name] = found
        return found

    def call_info(
        self,
        call_id: str,
        *,
        user: str,
        origin: Literal["connect", "token", "adopted"],
        profile: str | None = None,
        filtered: Filter | None = None,
        started_at: float | None = None,
    ) -> CallInfo:
        """What is known of a call at its start; a profile that is gone counts as the default one."""
        named = {each.name: each for each in self.profiles}
        chosen = named.get(profile or "") or self.profiles.get(None)
        reads = self.browser_reads_session["connect" if origin == "connect" else "token"]
        if filtered is not None and self.upstream.abilities.binds_filter:
            # The service itself says so.
            reads = filtered == "off"
        wanted = self.config.recordings.enabled if chosen.record is None else chosen.record
        return CallInfo(
            call_id=call_id,
            upstream=self.upstream.name,
            profile=chosen.name,
            user=user,
            origin=origin,
            filtered=self.filtered if filtered is None else filtered,
            browser_reads_session=reads,
            started_at=time.time() if started_at is None else started_at,
            record=wanted and self.recordings,
        )

    async def run(self) -> None:
        """Everything that goes on besides requests, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in self.parts:
                group.create_task(_kept(part))
            group.create_task(self._end_overdue())

    async def close(self) -> None:
        await self.upstream.close()

    async def _end_overdue(self) -> None:
        """Hang up the calls of those whose minutes are used up."""
        while True:
            await asyncio.sleep(_OVERDUE_S)
            for call_id in self.ledger.overdue():
                log.info("call %s: the minutes of its user are used up; hanging up", call_id)
                with contextlib.suppress(UpstreamError):
                    await self.upstream.hangup(call_id)


def readers(abilities: Abilities, filtered: Filter) -> dict[str, bool]:
    """By which way a browser that wants to can read the session: instructions, tools, all of it. A token that
    does not bind the filter can be used without it."""
    kept = abilities.filter and filtered != "off"
    return {"token": not (kept and abilities.binds_filter), "connect": not kept}


async def _kept(part: Part) -> None:
    """A part that fails is started again: calls go on without it meanwhile."""
    while True:
        try:
            await part.run()
            return
        except Exception as error:
            log.error("%s failed, and is started again: %s", type(part).__name__, where(error))
            await asyncio.sleep(_AGAIN_S)


def build(
    plan: Plan,
    environment: Mapping[str, str] | None = None,
    *,
    token_source: TokenSource | None = None,
) -> Application:
    """The application of a plan, to be run in this loop. Raises SetupError.

    ``token_source``: in place of ``DefaultAzureCredential``.
    """
    environment = os.environ if environment is None else environment
    config = plan.app
    upstream, entra = build_upstream(
        config,
        environment,
        service=plan.service,
        token_source=token_source,
    )
    profiles = profiles_of(config)
    keys = (*plan.operator_keys, *operator_keys(environment))
    if not plan.keyless and not keys:
        # The service asks for something that cannot be shown here: nobody is an operator by being here.
        keys = (secrets.token_urlsafe(32),)
    counted = ("user_calls", "calls", "user_minutes_per_day", "minutes_per_day")
    if not config.observe and (named := [each for each in counted if getattr(config.budgets, each)]):
        raise SetupError(f"app.budgets.{named[0]}: the observer counts it, and app.observe is false")
    login = login_of(config, environment) if config.access.login == "oidc" else None
    try:
        access = Access(config, keys=keys, ledger=Ledger(config.budgets), login=login)
    except ValueError as error:
        raise SetupError(f"app.access.proxies: {error}") from None
    if access.unprotected and plan.socket is None and not is_loopback(plan.host):
        raise SetupError(
            f"host {plan.host} can be reached from other machines, and nothing protects the application: set "
            f"{OPERATOR_KEYS} (with app.access.open, callers need not show it), or configure a login"
        )
    application = Application(config, upstream, profiles, access)
    application.parts.append(Entry(application, engines=_engines(upstream)))
    if login is not None:
        application.parts.append(login)
    if entra is not None:
        application.parts.append(_Fresh(entra.keep))
    announce(application)
    return application


def build_app(application: Application, extra: Iterable[web.AbstractRouteDef] = ()) -> web.Application:
    """Its HTTP, for any kind of site. ``extra``: other routes, as the page's files."""
    app = web.Application(middlewares=[json_errors, application.access.middleware], client_max_size=_MAX_BODY)
    for part in application.parts:
        app.add_routes(part.routes())
    app.add_routes(extra)
    app.cleanup_ctx.append(_running(application))
    return app


def _running(application: Application) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_: web.Application) -> AsyncIterator[None]:
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(application.run())
                yield
                running.cancel()
        finally:
            await application.close()

    return context


class _Fresh:
    """Keeps a credential fresh."""

    def __init__(self, keep: Callable[[], Any]) -> None:
        self._keep = keep

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        return []

    async def run(self) -> None:
        await self._keep()


def _engines(upstream: Built) -> Callable[[], Any] | None:
    return getattr(upstream, "engines", None)
