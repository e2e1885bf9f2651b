"""``GET /healthz`` and ``/readyz``: what runs, for people, the page and whoever restarts containers."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

import vivavoz
from vivavoz.server.service import SERVICE, Service


def report(service: Service) -> dict[str, Any]:
    """No secret, prompt or name of a client is in it: it is shown to anybody who asks. ``calls`` are those of
    this ``worker``; ``GET /realtime/calls`` has those of all."""
    sets = service.engines.status()
    default = service.config.default_engines
    return {
        "status": "draining" if service.draining else service.engines.state,
        "version": vivavoz.__version__,
        "model": service.config.default_model,
        "key_required": not service.auth.keyless,
        "worker": service.directory.own_tag,
        "workers": 1 + len(service.directory.others),
        "calls": len(service.calls),
        "overloaded": service.admission.overloaded,
        "engine_set": default,
        "engines": sets.get(default, []),
        "other_engines": {name: rows for name, rows in sets.items() if name != default},
    }


def _answer(service: Service, status: int) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(report(service)),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def live(request: web.Request) -> web.Response:
    """200 as long as the process answers."""
    return _answer(request.app[SERVICE], 200)


async def ready(request: web.Request) -> web.Response:
    """200 when a call could be opened now, else 503."""
    service: Service = request.app[SERVICE]
    return _answer(service, 200 if takes_calls(service) else 503)


def takes_calls(service: Service) -> bool:
    """Whether a call could be opened now."""
    return service.engines.state == "ready" and not service.draining and not service.admission.overloaded
