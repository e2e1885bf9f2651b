"""What the beta has over HTTP and GA has not: endpoints of its own that mint client secrets.

A flat session in; the session object with its client secret (60 s unless it says otherwise) out.
"""

from __future__ import annotations

from aiohttp import web

from vivavoz.server.bodies import read_body
from vivavoz.server.client_secrets import mint
from vivavoz.server.service import SERVICE, Service
from vivavoz.wire.beta.rest import request_error_to_beta, secret_request_to_ga, secret_to_beta
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.options import Kind


async def create_session(request: web.Request) -> web.Response:
    return await _create(request, "realtime")


async def create_transcription_session(request: web.Request) -> web.Response:
    return await _create(request, "transcription")


async def _create(request: web.Request, kind: Kind) -> web.Response:
    service: Service = request.app[SERVICE]
    principal = await service.auth.require_key(request)
    body = await read_body(request, service.config.limits.body_bytes)
    try:
        wanted = secret_request_to_ga(body, kind, grants=service.extended)
        secret = await mint(service, request, wanted, principal.account)
    except ProtocolError as error:
        raise request_error_to_beta(error) from None
    return web.Response(body=secret_to_beta(secret), content_type="application/json", charset="utf-8")
