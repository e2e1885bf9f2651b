"""The routes of the Realtime service, under both prefixes."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from vivavoz.server import beta, calls, client_secrets, cors, health, realtime
from vivavoz.server.errors import json_errors
from vivavoz.server.guard import LoopbackGuard
from vivavoz.server.service import SERVICE, Service

PREFIXES = ("/v1", "/openai/v1", "/openai")
"""OpenAI's, Azure's, and what Azure's SDK clients put before it where they name an ``api-version``."""


def build_app(service: Service, extra: Iterable[web.AbstractRouteDef] = ()) -> web.Application:
    """The application of one worker; ``extra``: routes of the product side (the page)."""
    middlewares = [json_errors]
    if service.auth.keyless:
        guard = LoopbackGuard(service.config.server.allowed_hosts, service.config.server.allowed_origins)
        middlewares.append(guard.middleware)
    app = web.Application(middlewares=middlewares, client_max_size=service.config.limits.body_bytes)
    app[SERVICE] = service
    for prefix in PREFIXES:
        app.add_routes(
            [
                web.post(f"{prefix}/realtime/client_secrets", client_secrets.create),
                web.post(f"{prefix}/realtime/calls", calls.create),
                web.options(f"{prefix}/realtime/calls", cors.preflight),
                web.post(f"{prefix}/realtime/calls/{{call_id}}/hangup", calls.hangup),
                web.get(f"{prefix}/realtime", realtime.connect, allow_head=False),
                web.post(f"{prefix}/realtime", calls.create),
                web.options(f"{prefix}/realtime", cors.preflight),
                web.post(f"{prefix}/realtime/sessions", beta.create_session),
                web.post(f"{prefix}/realtime/transcription_sessions", beta.create_transcription_session),
            ]
        )
    app.add_routes(
        [
            web.post("/openai/realtimeapi/sessions", beta.create_session),
            web.post("/v1/realtimertc", calls.create),
            web.options("/v1/realtimertc", cors.preflight),
        ]
    )
    app.add_routes([web.get("/healthz", health.live), web.get("/readyz", health.ready)])
    app.add_routes(extra)
    return app
