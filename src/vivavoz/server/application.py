"""The way to the application's process, which has no port of its own where a worker serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from vivavoz.cluster.relay import OwnerUnreachable, relay_http, relay_websocket
from vivavoz.server.auth import subprotocols
from vivavoz.server.bodies import read_body
from vivavoz.server.errors import unavailable
from vivavoz.server.service import SERVICE

PATHS = ("/token", "/connect", "/api/{path:.*}", "/login/{path:.*}")
_MAX_MESSAGE_BYTES = 4 * 2**20
_HEARTBEAT_S = 20.0
_SUBPROTOCOL = "vivavoz"


def application_routes(socket: Path, *, page: bool) -> Iterator[web.RouteDef]:
    """Everything that the application answers, carried to its unix socket and back. ``page``: the page too,
    and with it every path that nothing else answers."""

    async def relay(request: web.Request) -> web.StreamResponse:
        try:
            if request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket":
                return await relay_websocket(request, socket, _websocket(request), _MAX_MESSAGE_BYTES)
            body = await read_body(request, request.app[SERVICE].config.limits.body_bytes)
            return await relay_http(request, socket, body)
        except OwnerUnreachable:
            raise unavailable(
                "The application is starting. Try again in a moment.",
                code="application_unavailable",
                retry_after_s=1,
            ) from None

    for path in (*PATHS, "/{path:.*}") if page else PATHS:
        yield web.route("*", path, relay)


def _websocket(request: web.Request) -> web.WebSocketResponse:
    offered = _SUBPROTOCOL in subprotocols(request)
    return web.WebSocketResponse(
        protocols=(_SUBPROTOCOL,) if offered else (),
        heartbeat=_HEARTBEAT_S,
        compress=False,
        max_msg_size=_MAX_MESSAGE_BYTES,
    )
