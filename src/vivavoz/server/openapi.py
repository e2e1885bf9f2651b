"""``GET /openapi.json``: what this service speaks, as an OpenAPI 3.1 document.

Paths are read off the router and schemas off the wire types, so that neither can be forgotten. OpenAPI has
no words for what travels over a WebSocket or a data channel: the extensions ``x-websocket`` and
``x-data-channel`` name the schemas of the events.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

import vivavoz
from vivavoz.server.operations import operations
from vivavoz.server.schemas import EXTENSION, SCHEMAS, Json
from vivavoz.server.service import Service
from vivavoz.wire import rest
from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.extensions import ExtensionEvent
from vivavoz.wire.grants import Grant
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.server_events import ServerEvent
from vivavoz.wire.translation import (
    TranslationClientEvent,
    TranslationSecret,
    TranslationSecretRequest,
    TranslationServerEvent,
)

DOCUMENT = web.AppKey("openapi document", bytes)

_UNIONS: dict[str, Any] = {
    "ClientEvent": ClientEvent,
    "ServerEvent": ServerEvent,
    "SessionRequest": AnyPatch,
    "ExtensionEvent": ExtensionEvent,
    "TranslationClientEvent": TranslationClientEvent,
    "TranslationServerEvent": TranslationServerEvent,
}
"""What has no name of its own among the wire types."""
_BODIES = (
    rest.ClientSecretRequest,
    rest.GrantedSecretRequest,
    rest.ClientSecret,
    rest.SecretRevocation,
    rest.CallList,
    Grant,
    TranslationSecretRequest,
    TranslationSecret,
    rest.HttpError,
    rest.GatewayError,
)


async def serve(request: web.Request) -> web.Response:
    """The document, to whoever may talk to this service at all; no credential is asked for."""
    return web.Response(body=request.app[DOCUMENT], content_type="application/json")


def describe(routes: Iterable[web.AbstractRoute], service: Service) -> bytes:
    """The document of an application with these routes. Those with handlers of others (the page) are left
    out."""
    told_of = operations(service.config.server.strict_azure, serve)
    paths: dict[str, Json] = {}
    for route in routes:
        if route.handler not in told_of or route.resource is None:
            continue
        method, path = route.method.lower(), route.resource.canonical
        told = told_of[route.handler]
        paths.setdefault(path, {})[method] = {
            "operationId": f"{method}{re.sub('[^a-z0-9]+', '_', path)}".rstrip("_"),
            **(_without_bodies(told) if method == "head" else told),
        }
    anybody: list[Json] = [{}] if service.auth.keyless else []
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "vivavoz",
                "version": vivavoz.__version__,
                "summary": "The Realtime API, over WebRTC and WebSocket.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [*anybody, {"bearer": []}, {"header": []}, {"query": []}],
            "paths": paths,
            "components": {
                "schemas": _schemas(),
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "header": {"type": "apiKey", "in": "header", "name": "api-key"},
                    "query": {"type": "apiKey", "in": "query", "name": "api-key"},
                },
            },
        }
    )


@functools.cache
def _schemas() -> Json:
    roots, components = msgspec.json.schema_components(
        [*_UNIONS.values(), *_BODIES], ref_template=f"{SCHEMAS}{{name}}"
    )
    components["Grant"] |= EXTENSION
    return {**components, **dict(zip(_UNIONS, roots, strict=False))}


def _without_bodies(operation: Json) -> Json:
    """As ``HEAD`` answers."""
    answers = {
        status: {"description": answer["description"]} for status, answer in operation["responses"].items()
    }
    return {**operation, "responses": answers}
