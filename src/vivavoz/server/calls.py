"""``POST /realtime/calls`` (an SDP offer in, the answer out) and ``…/{id}/hangup``."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from vivavoz.cluster.directory import Elsewhere, Place
from vivavoz.cluster.relay import OwnerUnreachable, relay_http, was_relayed
from vivavoz.media.ports import MediaError
from vivavoz.server.bodies import read_body, read_offer
from vivavoz.server.dialects import dialect_of
from vivavoz.server.errors import ApiError, call_not_found, unavailable
from vivavoz.server.granting import grant_of, one_call
from vivavoz.server.opening import open_call
from vivavoz.server.ports import OpenCall
from vivavoz.server.service import SERVICE, Service
from vivavoz.transports.dialect import Dialect
from vivavoz.wire.grants import Filter, Grant

_HANGUP_WAIT_S = 2.0


async def create(request: web.Request) -> web.StreamResponse:
    service: Service = request.app[SERVICE]
    principal = await service.auth.identify_caller(request)
    if (response := await relayed(request)) is not None:
        return response
    offer = await read_offer(request, service.config.limits, forms=not service.config.server.strict_azure)
    grant = grant_of(principal, offer.grant)
    filtered = filter_of(request, grant)
    async with one_call(service, principal):
        call = await open_call(request, principal, offer.session, grant)
        return answered(service, call, offer.sdp, filtered, dialect_of(request, call))


async def relayed(request: web.Request) -> web.StreamResponse | None:
    """The response of the worker that is to hold the new call; None: it is this one. Raises ApiError."""
    service: Service = request.app[SERVICE]
    if was_relayed(request):
        return None
    place = await service.placement.place(request.query.get("model") or service.config.default_model)
    if not isinstance(place, Elsewhere):
        return None
    try:
        body = await read_body(request, service.config.limits.body_bytes)
        with contextlib.suppress(OwnerUnreachable):
            return await relay_http(request, place.socket, body)
        # It has just gone. Here, then, by the way that a request takes whose body has been read.
        if service.directory.own_socket is None:
            raise owner_unreachable()
        return await relay_http(request, service.directory.own_socket, body)
    except OwnerUnreachable:
        raise owner_unreachable() from None


def answered(service: Service, call: OpenCall, sdp: str, filter: Filter, dialect: Dialect) -> web.Response:
    """The answer to an offer that opened ``call``, which ends where there is none. Raises ApiError."""
    try:
        answer = service.accept(sdp, call, filter, dialect)
    except MediaError as error:
        call.hangup("offer refused")
        raise ApiError(400, error.message, code="invalid_offer", param="sdp") from None
    except BaseException:
        call.hangup("offer failed")
        raise
    # Relative and without the prefix that was used: both clouds write it so, and clients parse it.
    return web.Response(
        status=201,
        text=answer,
        content_type="application/sdp",
        headers={"Location": f"/v1/realtime/calls/{call.id}"},
    )


def filter_of(request: web.Request, grant: Grant | None) -> Filter:
    """What the grant binds; else what the URL asks for, where anything but ``on`` and ``strict`` is off, as
    on Azure. Raises ApiError: where Azure is imitated, ``strict`` is refused, because it would filter nothing
    there."""
    asked = request.query.get("webrtcfilter")
    service: Service = request.app[SERVICE]
    if asked == "strict" and not service.extended:
        raise ApiError(
            400,
            "'webrtcfilter=strict' is not Azure's: there, nothing would be filtered. Use 'on'.",
            code="invalid_value",
            param="webrtcfilter",
        )
    wanted: Filter = "strict" if asked == "strict" else "on" if asked == "on" else "off"
    if grant is None or grant.filter is None:
        return wanted
    # The token's holder may ask for less than what is granted, never for more.
    return "strict" if "strict" in (wanted, grant.filter) else "on"


async def hangup(request: web.Request) -> web.StreamResponse:
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    call_id = request.match_info["call_id"]
    found = await find_call(request, call_id)
    if isinstance(found, Elsewhere):
        try:
            return await relay_http(request, found.socket)
        except OwnerUnreachable:
            raise owner_unreachable() from None
    found.hangup("hung up by the application")
    # So that whoever asks next is told that the call is gone.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HANGUP_WAIT_S):
            await found.closed.wait()
    return web.Response(status=200)


async def find_call(request: web.Request, call_id: str) -> OpenCall | Elsewhere:
    """A call of this worker, or where it would be. Raises ApiError (404)."""
    service: Service = request.app[SERVICE]
    call = service.calls.get(call_id)
    if call is not None and not call.closed.is_set():
        return call
    place: Place | None = None if call is not None else await service.directory.find(call_id)
    if isinstance(place, Elsewhere) and not was_relayed(request):
        return place
    raise call_not_found(call_id)


def owner_unreachable() -> ApiError:
    return unavailable(
        "The worker that holds this call does not answer.", code="worker_unreachable", retry_after_s=1
    )
