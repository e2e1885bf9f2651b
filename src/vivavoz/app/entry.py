"""``GET /token``, ``POST /connect``, and what the page is told about both."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from vivavoz.app.access.access import User
from vivavoz.app.access.ledger import Reservation
from vivavoz.app.errors import where
from vivavoz.app.grants import call_grant, token_grant
from vivavoz.app.offers import read_offer
from vivavoz.app.profiles import Profile
from vivavoz.app.upstream.port import UpstreamError

if TYPE_CHECKING:
    from vivavoz.app.service import Application

log = logging.getLogger("vivavoz.app")

Engines = Callable[[], Awaitable[list[dict[str, Any]]]]

_CONNECT_S = 60.0
"""For so long a call that is being opened holds its place."""


class Entry:
    def __init__(self, application: Application, engines: Engines | None = None) -> None:
        """``engines``: rows about the models, of our own service only."""
        self._application = application
        self._engines = engines

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        yield web.post("/connect", self.connect)
        yield web.get("/api/app", self.describe, allow_head=False)
        yield web.get("/api/profiles", self.profiles, allow_head=False)
        if self._application.config.tokens:
            yield web.get("/token", self.token, allow_head=False)

    async def run(self) -> None:
        return

    async def token(self, request: web.Request) -> web.Response:
        application = self._application
        user = application.access.identify(request)
        profile = application.profiles.get(request.query.get("profile"))
        seconds = application.config.token_seconds
        place = application.access.allow(user, "token", seconds)
        try:
            secret = await application.upstream.mint(
                application.session_of(profile),
                seconds=seconds,
                grant=token_grant(
                    profile, user.name, application.filtered, max_seconds=self._seconds_left(user)
                ),
            )
        except BaseException:
            application.ledger.release(place)
            raise
        # The effective session came with it: only its model's name goes on.
        model = (secret.session or {}).get("model") or profile.model
        return _json({"token": secret.value, "endpoint": self._offer_url, "deployment": model})

    async def connect(self, request: web.Request) -> web.Response:
        application = self._application
        user = application.access.identify(request)
        profile = application.profiles.get(request.query.get("profile"))
        place = application.access.allow(user, "connect", _CONNECT_S)
        try:
            offer = await read_offer(request)
            answer = await application.upstream.connect(
                offer,
                application.session_of(profile),
                filtered=application.filtered,
                grant=call_grant(
                    profile, user.name, application.filtered, max_seconds=self._seconds_left(user)
                ),
            )
        except BaseException:
            application.ledger.release(place)
            raise
        response = web.Response(
            status=201,
            text=answer.sdp,
            content_type="application/sdp",
            headers={"Cache-Control": "no-store"},
        )
        if answer.call_id is None:
            log.warning("the service did not name its call: it cannot be observed, nor counted")
            application.ledger.release(place)
        else:
            response.headers["Location"] = f"/api/calls/{answer.call_id}"
            self._tell(answer.call_id, user, profile, place)
        return response

    async def describe(self, request: web.Request) -> web.Response:
        """What the page shows; to somebody who may not call, only how they may."""
        application = self._application
        config, access = application.config, application.access
        user = access.visitor(request)
        known = user is not None
        answer: dict[str, Any] = {
            "user": {"name": user.name, "operator": user.operator} if user else None,
            "key_required": access.key_required and not known,
            "login": access.login.url if access.login is not None else None,
            "upstream": {
                "name": application.upstream.name,
                "abilities": application.upstream.abilities,
                "browser_url": application.upstream.browser_url if known else None,
            },
            "tokens": config.tokens,
            "profiles": [_shown(profile) for profile in application.profiles] if known else [],
            "default_profile": application.profiles.default if known else None,
            "filter": application.filtered,
            "browser_reads_session": application.browser_reads_session,
            "notice": config.recordings.notice if application.recordings else None,
            "recordings": application.recordings,
            "budgets": self._budgets(user) if user is not None else None,
            "engines": await self._rows() if known else None,
        }
        return _json(answer)

    async def profiles(self, request: web.Request) -> web.Response:
        self._application.access.operator(request)
        return _json({"profiles": list(self._application.profiles)})

    @property
    def _offer_url(self) -> str:
        url = self._application.upstream.browser_url
        filtered = self._application.filtered
        return url if filtered == "off" else f"{url}?webrtcfilter={filtered}"

    def _seconds_left(self, user: User) -> int | None:
        left = self._application.ledger.seconds_left(user.name)
        return None if left is None else int(left)

    def _tell(self, call_id: str, user: User, profile: Profile, place: Reservation) -> None:
        """The call is there whatever comes of this: the answer goes out."""
        application = self._application
        info = application.call_info(call_id, user=user.name, origin="connect", profile=profile.name)
        application.ledger.started(call_id, user.name, info.started_at, place)
        if application.started is None:
            return
        try:
            application.started(info)
        except Exception as error:
            log.error("call %s is not observed: %s", call_id, where(error))

    def _budgets(self, user: User) -> dict[str, Any]:
        budgets = msgspec.to_builtins(self._application.config.budgets)
        left = self._application.ledger.seconds_left(user.name)
        return {**budgets, "minutes_left": None if left is None else max(0, int(left // 60))}

    async def _rows(self) -> list[dict[str, Any]] | None:
        if self._engines is None:
            return None
        try:
            return await self._engines()
        except UpstreamError:
            return []


def _shown(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "title": profile.title or profile.name,
        "description": profile.description,
        "languages": profile.languages,
    }


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
