"""``POST /realtime/client_secrets``: tokens that a browser may hold."""

from __future__ import annotations

import logging

from aiohttp import web

from vivavoz.server.bodies import read_body
from vivavoz.server.errors import ApiError
from vivavoz.server.opening import check_converses, model_not_found
from vivavoz.server.service import SERVICE, Service
from vivavoz.server.store import StoreFull
from vivavoz.wire.codec import encode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import effective_session, kind_of, model_of, session_object
from vivavoz.wire.rest import ClientSecret, decode_client_secret_request

log = logging.getLogger("vivavoz.server")


async def create(request: web.Request) -> web.Response:
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    body = await read_body(request, service.config.limits.body_bytes)
    secret = await mint(service, request, body)
    return web.Response(body=encode(secret), content_type="application/json", charset="utf-8")


async def mint(service: Service, request: web.Request, body: bytes) -> ClientSecret:
    """A token for what ``body`` asks. Raises ApiError, ProtocolError."""
    asked = decode_client_secret_request(body)
    patch = asked.patch
    named = model_of(patch) or request.query.get("model") or None
    model = named or service.config.default_model
    if not service.engines.known(model):
        raise model_not_found(request, model)
    check_converses(request, model, kind_of(patch) if patch is not None else "realtime")
    try:
        options = effective_session(service.filled(patch), model)
    except ProtocolError as error:
        raise error.under("session") from None
    session_id = service.new_session_id()
    try:
        value, secret = await service.tokens.issue(
            patch,
            session_id=session_id,
            seconds=asked.expires_after_seconds or service.config.token_seconds,
            model=named,
        )
    except StoreFull:
        raise ApiError(
            503,
            "The store of long session configurations is full. Shorten the session, or try again when "
            "other client secrets have expired.",
            code="store_full",
            type="server_error",
            headers={"Retry-After": "60"},
        ) from None
    except OSError as error:
        log.error("a long session configuration cannot be kept: %s", error)
        raise ApiError(
            503,
            "The server cannot keep a session configuration of this length. Shorten the session.",
            code="store_unavailable",
            type="server_error",
        ) from None
    return ClientSecret(
        value=value,
        expires_at=secret.expires_at,
        session=session_object(options, session_id, 0),
    )
