"""``POST /realtime/client_secrets``: tokens that a browser may hold; and ``…/revoke``, an extension."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from aiohttp import web

from vivavoz.server.bodies import read_body
from vivavoz.server.errors import ApiError
from vivavoz.server.granting import cannot_note
from vivavoz.server.opening import check_converses, model_not_found
from vivavoz.server.service import SERVICE, Service
from vivavoz.server.store import StoreFull
from vivavoz.server.tokens import TokenError
from vivavoz.wire.codec import decode, encode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.grants import Grant
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import kind_of, model_of, session_object
from vivavoz.wire.rest import ClientSecret, SecretRevocation, decode_client_secret_request

log = logging.getLogger("vivavoz.server")


async def create(request: web.Request) -> web.Response:
    service: Service = request.app[SERVICE]
    principal = await service.auth.require_key(request)
    body = await read_body(request, service.config.limits.body_bytes)
    secret = await mint(service, request, body, principal.account)
    return web.Response(body=encode(secret), content_type="application/json", charset="utf-8")


async def revoke(request: web.Request) -> web.Response:
    """A token opens nothing any more; calls that it has opened go on."""
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    body = await read_body(request, service.config.limits.body_bytes)
    try:
        await service.tokens.revoke(decode(body, SecretRevocation).value)
    except TokenError as error:
        raise ApiError(400, error.message, code=error.code, param="value") from None
    except (StoreFull, OSError) as error:
        raise cannot_note(error) from None
    return web.Response(status=204)


async def mint(service: Service, request: web.Request, body: bytes, account: str) -> ClientSecret:
    """A token for what ``body`` asks; its calls use the tokens per minute of ``account``. Raises ApiError,
    ProtocolError."""
    asked = decode_client_secret_request(body, grants=service.extended)
    patch = asked.patch
    grant = asked.grant if isinstance(asked.grant, Grant) else None
    if grant is not None:
        grant.check_session(patch, "session")
    named = model_of(patch) or request.query.get("model") or None
    model = named or service.config.default_model
    if not service.engines.known(model):
        raise model_not_found(request, model)
    check_converses(request, model, kind_of(patch) if patch is not None else "realtime")
    try:
        options = effective_session(service.filled(patch), model)
        if service.engines.ready(model):
            # What this server cannot do is refused now, rather than when the token is used.
            service.calls.check(patch, model)
    except ProtocolError as error:
        raise error.under("session") from None
    session_id = service.new_session_id()
    with kept_in_http():
        value, secret = await service.tokens.issue(
            patch,
            session_id=session_id,
            seconds=asked.expires_after_seconds or service.config.token_seconds,
            model=named,
            grant=grant,
            account=account,
        )
    return ClientSecret(
        value=value,
        expires_at=secret.expires_at,
        session=session_object(options, session_id, 0),
    )


@contextlib.contextmanager
def kept_in_http() -> Iterator[None]:
    """Why a session's configuration cannot be kept, in HTTP's words."""
    try:
        yield
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
