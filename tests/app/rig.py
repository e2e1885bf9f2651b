"""An application on a loopback port, and a stand-in for the service behind it that can go wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from aiohttp import web

from vivavoz.app.config import App
from vivavoz.app.plan import Plan
from vivavoz.app.service import Application, build, build_app
from vivavoz.app.upstream.entra import TokenSource

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
ANSWER = "v=0\r\nanswer\r\n"
UPSTREAM_KEY = "sk-the-key-of-the-upstream"
EK = "ek_a-token-of-the-stand-in"
PROMPT = "You are Marvin, and this must never be read by a caller."


class Asked(NamedTuple):
    """A request that the stand-in received."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class StandIn:
    """A Realtime service: it mints, answers and hangs up, or does what ``faults`` says for a path's end."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: dict[str, list[web.Response | str]] = {}
        """Path's end -> what comes instead, in turn: an answer, ``break`` (the connection), or ``hang``."""
        self.released = asyncio.Event()
        self.observed = False
        """Whether sidebands are accepted, and say nothing."""

    def fail(self, path: str, *instead: web.Response | str) -> None:
        self.faults[path] = list(instead)

    def requests(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path.endswith(path)]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(
            Asked(request.path, dict(request.query), dict(request.headers), await request.read())
        )
        if self.observed and request.path.endswith("/realtime"):
            sideband = web.WebSocketResponse()
            await sideband.prepare(request)
            await sideband.receive()
            return sideband
        for path, instead in self.faults.items():
            if request.path.endswith(path) and instead:
                return await self._fail(request, instead.pop(0))
        if request.path.endswith("/client_secrets"):
            session = {"type": "realtime", "instructions": PROMPT, "model": "effective-model"}
            return web.json_response({"value": EK, "expires_at": 2_000_000_000, "session": session})
        if request.path.endswith("/hangup"):
            return web.Response()
        return web.Response(status=201, text=ANSWER, headers={"Location": "/v1/realtime/calls/rtc_stand_in"})

    async def _fail(self, request: web.Request, instead: web.Response | str) -> web.StreamResponse:
        if isinstance(instead, web.Response):
            return instead
        if instead == "break":
            assert request.transport is not None
            request.transport.abort()
        else:
            await self.released.wait()
        return web.Response(status=500)


def refused(status: int, code: str | None, headers: Mapping[str, str] | None = None) -> web.Response:
    """What a service says that repeats what it was sent, as some do."""
    message = f"Incorrect API key provided: {UPSTREAM_KEY}. Instructions were: {PROMPT}"
    error = {"message": message, "type": "x", "code": code, "param": PROMPT}
    return web.json_response({"error": error}, status=status, headers=headers)


@contextlib.asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """The URL of an application."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Serving(NamedTuple):
    """``http`` holds no cookies and follows no redirects by itself."""

    url: str
    http: aiohttp.ClientSession
    application: Application

    async def token(self, profile: str = "", **options: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers of ``GET /token``."""
        async with self.http.get(f"{self.url}/token", params={"profile": profile}, **options) as answer:
            return answer.status, await answer.json(), answer.headers

    async def connect(
        self, offer: str = OFFER, profile: str = "", **options: Any
    ) -> tuple[int, str, Mapping[str, str]]:
        """Status, body and headers of ``POST /connect``, as a browser's form sends it."""
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("sdp", offer)
        async with self.http.post(
            f"{self.url}/connect", params={"profile": profile}, data=form, **options
        ) as answer:
            return answer.status, await answer.text(), answer.headers

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.http.get(f"{self.url}{path}", **options) as answer:
            return answer.status, await answer.json()


@contextlib.asynccontextmanager
async def serving(
    config: App,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    keys: tuple[str, ...] = (),
    token_source: TokenSource | None = None,
) -> AsyncIterator[Serving]:
    """An application of ``config``. ``keys``: its operators' (none: everybody is ``local``)."""
    plan = Plan(app=config, state_dir=str(folder), operator_keys=keys, keyless=not keys)
    application = build(plan, environment or {}, token_source=token_source)
    async with (
        listening(build_app(application)) as url,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield Serving(url, http, application)


@contextlib.asynccontextmanager
async def before(
    stand_in: StandIn,
    folder: Path,
    *,
    upstream: str = "vivavoz",
    keys: tuple[str, ...] = (),
    token_source: TokenSource | None = None,
    environment: Mapping[str, str] | None = None,
    **config: Any,
) -> AsyncIterator[Serving]:
    """An application in front of a stand-in for ``upstream``, with ``folder/profiles.toml``."""
    async with listening(stand_in.app()) as url:
        profiles = folder / "profiles.toml"
        app = msgspec.convert(
            {
                "upstream": upstream,
                "endpoint": url,
                "model": "a-deployment",
                "profiles": str(profiles) if profiles.exists() else None,
                **config,
            },
            App,
        )
        names = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY", "VIVAVOZ_APP_UPSTREAM_KEY")
        given = dict.fromkeys(names, UPSTREAM_KEY) if token_source is None else {}
        async with serving(
            app,
            folder,
            environment={**given, **(environment or {})},
            keys=keys,
            token_source=token_source,
        ) as found:
            yield found
