"""The routes of the Realtime service, under both prefixes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiohttp import web

from vivavoz.server import (
    azure,
    beta,
    calls,
    client_secrets,
    cors,
    health,
    listing,
    metrics,
    openapi,
    realtime,
    translations,
)
from vivavoz.server.errors import REFUSED, json_errors
from vivavoz.server.guard import LoopbackGuard
from vivavoz.server.service import SERVICE, Service

PREFIXES = ("/v1", "/openai/v1", "/openai")
"""OpenAI's, Azure's, and what Azure's SDK clients put before it where they name an ``api-version``."""


def build_app(service: Service, extra: Iterable[web.AbstractRouteDef] = ()) -> web.Application:
    """The application of one worker; ``extra``: routes of the product side (the page)."""
    strict = service.config.server.strict_azure
    middlewares = [json_errors]
    if strict:
        middlewares.insert(0, azure.gateway_errors)
    if service.auth.keyless:
        guard = LoopbackGuard(service.config.server.allowed_hosts, service.config.server.allowed_origins)
        middlewares.append(guard.middleware)
    app = web.Application(middlewares=middlewares, client_max_size=service.config.limits.body_bytes)
    app[SERVICE] = service
    app[REFUSED] = service.refused
    if strict:
        app.on_response_prepare.append(azure.name_request)
        app.add_routes(_azure_routes())
    else:
        app.add_routes(_routes())
    app.add_routes([web.get("/healthz", health.live), web.get("/readyz", health.ready)])
    app.add_routes([web.get("/metrics", metrics.metrics, allow_head=False)])
    app.add_routes([web.get("/openapi.json", openapi.serve)])
    app[openapi.DOCUMENT] = openapi.describe(app.router.routes(), service)
    app.add_routes(extra)
    return app


def _routes() -> Iterator[web.RouteDef]:
    """GA and the beta, of both clouds, each under every prefix."""
    for prefix in PREFIXES:
        yield from _ga_routes(prefix)
        yield from _own_routes(prefix)
        yield web.post(f"{prefix}/realtime", calls.create)
        yield web.options(f"{prefix}/realtime", cors.preflight)
        yield web.post(f"{prefix}/realtime/sessions", beta.create_session)
        yield web.post(f"{prefix}/realtime/transcription_sessions", beta.create_transcription_session)
    yield web.post("/openai/realtimeapi/sessions", beta.create_session)
    yield web.post("/v1/realtimertc", calls.create)
    yield web.options("/v1/realtimertc", cors.preflight)


def _own_routes(prefix: str) -> Iterator[web.RouteDef]:
    """Our extensions, which no other service has."""
    yield web.get(f"{prefix}/realtime/calls", listing.list_calls, allow_head=False)
    yield web.post(f"{prefix}/realtime/client_secrets/revoke", client_secrets.revoke)


def _azure_routes() -> Iterator[web.RouteDef]:
    """What Azure documents: GA under its one prefix, and what the SDK's Azure classes dial."""
    yield from _ga_routes("/openai/v1")
    yield web.get("/openai/realtime", realtime.connect, allow_head=False)


def _ga_routes(prefix: str) -> Iterator[web.RouteDef]:
    yield web.post(f"{prefix}/realtime/client_secrets", client_secrets.create)
    yield web.post(f"{prefix}/realtime/calls", calls.create)
    yield web.options(f"{prefix}/realtime/calls", cors.preflight)
    yield web.post(f"{prefix}/realtime/calls/{{call_id}}/hangup", calls.hangup)
    yield web.get(f"{prefix}/realtime", realtime.connect, allow_head=False)
    yield web.post(f"{prefix}/realtime/translations/client_secrets", translations.create_secret)
    yield web.post(f"{prefix}/realtime/translations/calls", translations.create_call)
    yield web.options(f"{prefix}/realtime/translations/calls", cors.preflight)
    yield web.get(f"{prefix}/realtime/translations", translations.connect, allow_head=False)
