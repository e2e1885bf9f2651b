"""``realtime/translations``: a WebSocket, WebRTC calls and client secrets of sessions that translate."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET

from vivavoz.call.translation import translation_of
from vivavoz.server.auth import Principal
from vivavoz.server.bodies import read_body, read_offer
from vivavoz.server.calls import answered, relayed
from vivavoz.server.client_secrets import kept_in_http
from vivavoz.server.errors import ApiError
from vivavoz.server.opening import ensure_serving, in_http, other_kind
from vivavoz.server.ports import OpenCall
from vivavoz.server.realtime import require_upgrade, serve, upgrade
from vivavoz.server.service import SERVICE, Service
from vivavoz.transports.dialect import GA
from vivavoz.wire.codec import encode
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.translation import (
    TranslationPatch,
    TranslationSecret,
    decode_translation_secret_request,
    translation_object,
)


async def create_secret(request: web.Request) -> web.Response:
    """What the engines cannot do is refused here, before a browser is given a secret for it."""
    service: Service = request.app[SERVICE]
    await service.auth.require_key(request)
    asked = decode_translation_secret_request(await read_body(request, service.config.limits.body_bytes))
    model = str(asked.session.model)
    await ensure_serving(request, service, model)
    try:
        options, _ = translation_of(asked.session, model, service.engines.engines_for(model))
    except ProtocolError as error:
        raise error.under("session") from None
    session_id = service.new_session_id()
    with kept_in_http():
        value, secret = await service.tokens.issue(
            asked.session,
            session_id=session_id,
            seconds=asked.expires_after_seconds or service.config.token_seconds,
        )
    minted = TranslationSecret(
        value=value,
        expires_at=secret.expires_at,
        session=translation_object(options, session_id, secret.expires_at),
    )
    return web.Response(body=encode(minted), content_type="application/json", charset="utf-8")


async def create_call(request: web.Request) -> web.StreamResponse:
    """An SDP offer in, the answer out. The session is the client secret's; there are no forms here."""
    service: Service = request.app[SERVICE]
    principal = await service.auth.identify_caller(request)
    if (response := await relayed(request)) is not None:
        return response
    offer = await read_offer(request, service.config.limits, forms=False)
    call = await open_translation(request, principal)
    return answered(service, call, offer.sdp, "off", GA)


async def connect(request: web.Request) -> web.StreamResponse:
    """The handshake; what is refused is refused before it, with a status and a JSON body."""
    service: Service = request.app[SERVICE]
    principal = await service.auth.identify(request)
    require_upgrade(request)
    call = await open_translation(request, principal)
    try:
        websocket = await upgrade(request, service.config.limits)
        await serve(request, websocket, call, None, GA)
    finally:
        # Nothing where the transport's end has ended the call already.
        call.hangup("connection ended")
    return websocket


async def open_translation(request: web.Request, principal: Principal) -> OpenCall:
    """A new call, its session from the client secret. Raises ApiError, ProtocolError."""
    service: Service = request.app[SERVICE]
    await service.admit()
    secret = principal.secret
    if secret is not None and secret.translation is None:
        raise other_kind("realtime and transcription", "realtime and realtime/calls")
    patch = secret.translation if secret is not None else None
    model = named_model(request, patch)
    await ensure_serving(request, service, model)
    with in_http(request, model):
        return service.calls.open_translation(
            patch,
            model,
            session_id=secret.session_id if secret is not None else None,
            client=request.remote or "",
        )


def named_model(request: web.Request, patch: TranslationPatch | None) -> str:
    """The secret's model, else the URL's, which is required then (reference). Raises ApiError."""
    if patch is not None and patch.model is not UNSET:
        return patch.model
    named = request.query.get("model") or request.query.get("deployment")
    if not named:
        raise ApiError(
            400,
            "Missing required parameter: 'model'. Name it in the URL: realtime/translations?model=…",
            code="missing_required_parameter",
            param="model",
        )
    return named
