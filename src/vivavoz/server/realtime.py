"""``GET /realtime``: a WebSocket that is a session, or the sideband of a call."""

from __future__ import annotations

from aiohttp import web

from vivavoz.cluster.directory import Elsewhere
from vivavoz.cluster.relay import OwnerUnreachable, relay_websocket
from vivavoz.config import Limits
from vivavoz.server.auth import subprotocols
from vivavoz.server.calls import find_call, owner_unreachable
from vivavoz.server.dialects import dialect_of
from vivavoz.server.errors import REQUEST_ID, ApiError
from vivavoz.server.granting import check_websocket, grant_of, one_call
from vivavoz.server.observing import observing_of
from vivavoz.server.opening import open_call
from vivavoz.server.ports import OpenCall
from vivavoz.server.service import SERVICE, Service
from vivavoz.transports.dialect import Dialect
from vivavoz.transports.websocket import WebSocketTransport
from vivavoz.wire.extensions import Observing

HEARTBEAT_S = 20.0
_BASE64_SLACK = 64 * 1024


async def connect(request: web.Request) -> web.StreamResponse:
    """The handshake; what is refused is refused before it, with a status and a JSON body."""
    call_id = request.query.get("call_id")
    return await (_session(request) if call_id is None else _sideband(request, call_id))


async def _session(request: web.Request) -> web.StreamResponse:
    service: Service = request.app[SERVICE]
    principal = await service.auth.identify(request)
    require_upgrade(request)
    check_websocket(principal)
    async with one_call(service, principal):
        call = await open_call(request, principal, None, grant_of(principal, None))
    try:
        websocket = await upgrade(request, service.config.limits)
        await serve(request, websocket, call, None, dialect_of(request, call))
    finally:
        # Nothing where the transport's end has ended the call already.
        call.hangup("connection ended")
    return websocket


async def _sideband(request: web.Request, call_id: str) -> web.StreamResponse:
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    wants = observing_of(request.query) if service.extended else Observing(hides=False)
    found = await find_call(request, call_id)
    if isinstance(found, Elsewhere):
        limits = service.config.limits
        try:
            return await relay_websocket(
                request, found.socket, _new_websocket(request, limits), max_message_bytes(limits)
            )
        except OwnerUnreachable:
            raise owner_unreachable() from None
    limit = service.config.limits.sidebands
    if service.sidebands[call_id] >= limit:
        raise ApiError(
            429,
            f"The call already has {limit} sideband connections.",
            code="too_many_sidebands",
            type="rate_limit_error",
        )
    # Last: a worker that was refused asks again without an upgrade, to be told why.
    require_upgrade(request)
    service.sidebands[call_id] += 1
    try:
        websocket = await upgrade(request, service.config.limits)
        await serve(request, websocket, found, wants, dialect_of(request, found))
    finally:
        service.sidebands[call_id] -= 1
        if not service.sidebands[call_id]:
            del service.sidebands[call_id]
    return websocket


async def serve(
    request: web.Request,
    websocket: web.WebSocketResponse,
    call: OpenCall,
    observing: Observing | None,
    dialect: Dialect,
) -> None:
    """Carry the call's events until it, or the connection, ends. ``observing``: of a sideband; None: the
    connection is the call's own client."""
    limits: Limits = request.app[SERVICE].config.limits
    tcp = request.transport
    if tcp is None:
        raise ConnectionResetError("the client left during the handshake")
    transport = WebSocketTransport(
        websocket,
        "websocket" if observing is None else "sideband",
        dialect=dialect,
        outbox_bytes=limits.outbox_bytes,
        outbox_events=limits.outbox_events,
        abort=tcp.abort,
    )
    attachment = call.attach(transport) if observing is None else call.observe(transport, observing)
    await transport.run(attachment)


def require_upgrade(request: web.Request) -> None:
    """Raises ApiError (426) for a plain GET."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise ApiError(
            426,
            "This URL speaks WebSocket: connect with a WebSocket client.",
            code="upgrade_required",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )


def max_message_bytes(limits: Limits) -> int:
    """A client event whose audio is as long as allowed, in base64, with room for the rest of it."""
    return limits.event_bytes * 4 // 3 + _BASE64_SLACK


def _new_websocket(request: web.Request, limits: Limits) -> web.WebSocketResponse:
    # `realtime` is answered if and only if it was offered: browsers close the socket over either mistake.
    # No compression: it costs CPU for base64 audio that does not shrink, and every client works without.
    offered = "realtime" in subprotocols(request)
    return web.WebSocketResponse(
        protocols=("realtime",) if offered else (),
        heartbeat=HEARTBEAT_S,
        compress=False,
        max_msg_size=max_message_bytes(limits),
        timeout=5.0,
    )


async def upgrade(request: web.Request, limits: Limits) -> web.WebSocketResponse:
    """The handshake's answer."""
    websocket = _new_websocket(request, limits)
    websocket.headers["x-request-id"] = request[REQUEST_ID]
    await websocket.prepare(request)
    return websocket
