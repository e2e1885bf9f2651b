"""``GET /openapi.json``: what this service speaks, as an OpenAPI 3.1 document.

Paths are read off the router and schemas off the wire types, so that neither can be forgotten. OpenAPI has
no words for what travels over a WebSocket or a data channel: the extensions ``x-websocket`` and
``x-data-channel`` name the schemas of the events.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

import vivavoz
from vivavoz.server import beta, calls, client_secrets, cors, health, listing, realtime, translations
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

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
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

_MINTED: Json = {
    "type": "object",
    "required": ["id", "object", "client_secret"],
    "properties": {
        "client_secret": {
            "type": "object",
            "required": ["value", "expires_at"],
            "properties": {"value": {"type": "string"}, "expires_at": {"type": "integer"}},
        }
    },
}
_REPORT: Json = {
    "type": "object",
    "required": [
        "status",
        "version",
        "model",
        "key_required",
        "worker",
        "workers",
        "calls",
        "overloaded",
        "engine_set",
        "engines",
    ],
    "properties": {
        "status": {"type": "string"},
        "version": {"type": "string"},
        "model": {"type": "string"},
        "key_required": {"type": "boolean"},
        "worker": {"type": "string"},
        "workers": {"type": "integer", "minimum": 1},
        "calls": {"type": "integer", "minimum": 0},
        "overloaded": {"type": "boolean"},
        "engine_set": {"type": "string"},
        "engines": {"type": "array", "items": {"type": "object"}},
    },
}
_FAILURES = {
    400: "The request is wrong; `param` says where.",
    401: "No good credential was shown.",
    403: "No key is configured, and the Host or Origin is not of this machine.",
    404: "There is no such model, deployment or call.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The offer's content type is none of those that are read.",
    426: "This URL speaks WebSocket.",
    429: "Too many of these; try again later.",
    503: "Not now; `Retry-After` says when.",
}
_REFUSED = (400, 401, 403, 429)


async def serve(request: web.Request) -> web.Response:
    """The document, to whoever may talk to this service at all; no credential is asked for."""
    return web.Response(body=request.app[DOCUMENT], content_type="application/json")


def describe(routes: Iterable[web.AbstractRoute], service: Service) -> bytes:
    """The document of an application with these routes. Those with handlers of others (the page) are left
    out."""
    operations = _operations(service.config.server.strict_azure)
    paths: dict[str, Json] = {}
    for route in routes:
        if route.handler not in operations or route.resource is None:
            continue
        method, path = route.method.lower(), route.resource.canonical
        told = operations[route.handler]
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
        [*_UNIONS.values(), *_BODIES], ref_template=f"{_SCHEMAS}{{name}}"
    )
    components["Grant"] |= _EXTENSION
    return {**components, **dict(zip(_UNIONS, roots, strict=False))}


def _operations(strict: bool) -> dict[Handler, Json]:
    """What each handler does. ``strict``: as Azure has it, with no forms and with its gateway's errors."""
    error: Json = {"schema": _ref("HttpError")}
    if strict:
        error = {"schema": {"anyOf": [_ref("HttpError"), _ref("GatewayError")]}}

    def failures(*statuses: int) -> Json:
        return {
            str(status): {"description": _FAILURES[status], "content": {"application/json": error}}
            for status in sorted({*_REFUSED, *statuses})
        }

    def minting(summary: str, asked: Json, given: Json) -> Json:
        return {
            "summary": summary,
            "parameters": _query("model"),
            "requestBody": {"required": False, "content": {"application/json": {"schema": asked}}},
            "responses": {"200": _json("The secret.", given), **failures(404, 408, 413, 503)},
        }

    offers: Json = {kind: {"schema": _SDP, "example": _OFFER} for kind in _SDP_KINDS}
    if not strict:
        offers["multipart/form-data"] = _FORM
    flat: Json = {"type": "object"}
    report = _json("What runs.", _REPORT)
    open_to_all: Json = {"security": []}
    here_only = {"403": failures()["403"]}
    return {
        client_secrets.create: minting(
            "Mint a client secret that a browser may hold.",
            _ref("ClientSecretRequest" if strict else "GrantedSecretRequest"),
            _ref("ClientSecret"),
        ),
        client_secrets.revoke: {
            "summary": "Take a client secret back: it opens nothing more. An extension.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _ref("SecretRevocation")}},
            },
            "responses": {"204": {"description": "It is revoked."}, **failures(408, 413, 503)},
            **_EXTENSION,
        },
        listing.list_calls: {
            "summary": "The live calls, at once or when they differ from those of `cursor`. An extension.",
            "parameters": [*_query("cursor"), _WAIT],
            "responses": {"200": _json("The calls.", _ref("CallList")), **failures()},
            **_EXTENSION,
        },
        beta.create_session: minting("The same, in the beta's flat form.", flat, _MINTED),
        beta.create_transcription_session: minting(
            "The same, for a session that only transcribes.", flat, _MINTED
        ),
        calls.create: {
            "summary": "Open a WebRTC call: an SDP offer in, the answer out.",
            "parameters": _query("model", "deployment", "intent", "webrtcfilter"),
            "requestBody": {"required": True, "content": offers},
            "responses": {
                "201": _ANSWER,
                **failures(404, 408, 413, 415, 429, 503),
            },
            "x-data-channel": _EVENTS,
        },
        calls.hangup: {
            "summary": "End a call.",
            "parameters": [
                {"name": "call_id", "in": "path", "required": True, "schema": {"type": "string"}},
            ],
            "responses": {"200": {"description": "It has ended."}, **failures(404, 503)},
        },
        realtime.connect: {
            "summary": "Open a session over a WebSocket, or, with `call_id`, join a call as an observer.",
            "parameters": [
                *_query("model", "deployment", "intent", "call_id"),
                *([] if strict else _OBSERVING),
            ],
            "responses": {"101": {"description": "Events, from here on."}, **failures(404, 426, 429, 503)},
            "x-websocket": {
                "subprotocol": "realtime",
                **_EVENTS,
                **({} if strict else {"x-vivavoz-extension": _ref("ExtensionEvent")}),
            },
        },
        **_translations(failures),
        cors.preflight: {
            "summary": "What pages elsewhere may send (CORS).",
            "responses": {"204": {"description": "Says the headers."}, **here_only},
            **open_to_all,
        },
        health.live: {
            "summary": "Whether the process answers.",
            "responses": {"200": report, **here_only},
            **open_to_all,
        },
        health.ready: {
            "summary": "Whether a call could be opened now.",
            "responses": {"200": report, "503": report, **here_only},
            **open_to_all,
        },
        serve: {
            "summary": "This document.",
            "responses": {"200": _json("OpenAPI 3.1.", {"type": "object"}), **here_only},
            **open_to_all,
        },
    }


_EXTENSION: Json = {"x-vivavoz-extension": True}
"""On what the hosted services have not."""
_OBSERVING: list[Json] = [
    {
        "name": name,
        "in": "query",
        "description": f"With `call_id`: {what}",
        "schema": {"type": "string"},
        "x-vivavoz-extension": True,
    }
    for name, what in (
        ("role", "`listen`, `coach` or `control`: what an observer may send."),
        ("after", "replay what came after this event, or from the `start`."),
        ("audio", "`both`, `input` or `output`: whose sound an observer hears."),
        ("extras", "`timings`, `participants`, with a comma: what else it is told."),
    )
]
"""Of the sideband; docs/observers.md."""
_WAIT: Json = {
    "name": "wait",
    "in": "query",
    "description": "How long to wait for a change (s).",
    "schema": {"type": "number", "minimum": 0, "maximum": listing.MAX_WAIT_S, "multipleOf": 0.001},
}


def _translations(failures: Callable[..., Json]) -> dict[Handler, Json]:
    """What the handlers of translation sessions do."""
    events = {"client": _ref("TranslationClientEvent"), "server": _ref("TranslationServerEvent")}
    asked = {"application/json": {"schema": _ref("TranslationSecretRequest")}}
    return {
        translations.create_secret: {
            "summary": "Mint a client secret for translation sessions.",
            "requestBody": {"required": True, "content": asked},
            "responses": {
                "200": _json("The secret.", _ref("TranslationSecret")),
                **failures(404, 408, 413, 503),
            },
        },
        translations.create_call: {
            "summary": "Open a WebRTC call that translates: an SDP offer in, the answer out.",
            "parameters": _query("model", "deployment"),
            "requestBody": {
                "required": True,
                "content": {kind: {"schema": _SDP, "example": _OFFER} for kind in _SDP_KINDS},
            },
            "responses": {"201": _ANSWER, **failures(404, 408, 413, 415, 429, 503)},
            "x-data-channel": events,
        },
        translations.connect: {
            "summary": "Open a translation session over a WebSocket.",
            "parameters": _query("model", "deployment"),
            "responses": {"101": {"description": "Events, from here on."}, **failures(404, 426, 429, 503)},
            "x-websocket": {"subprotocol": "realtime", **events},
        },
    }


def _ref(name: str) -> Json:
    return {"$ref": _SCHEMAS + name}


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _query(*names: str) -> list[Json]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]


def _without_bodies(operation: Json) -> Json:
    """As ``HEAD`` answers."""
    answers = {
        status: {"description": answer["description"]} for status, answer in operation["responses"].items()
    }
    return {**operation, "responses": answers}


_EVENTS: Json = {"client": _ref("ClientEvent"), "server": _ref("ServerEvent")}
_SDP_KINDS = ("application/sdp", "text/plain", "application/octet-stream")
_SDP: Json = {"type": "string", "pattern": r"^\s*v=0"}
_OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789abcdef012345",
        f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
        "a=setup:actpass",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "",
    ]
)
_ANSWER: Json = {
    "description": "The answer. `Location` ends in the call's id.",
    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
    "content": {"application/sdp": {"schema": _SDP}},
}
_FORM: Json = {
    "schema": {
        "type": "object",
        "required": ["sdp"],
        "properties": {"sdp": _SDP, "session": _ref("SessionRequest"), "grant": _ref("Grant")},
    },
    "encoding": {
        "sdp": {"contentType": "application/sdp"},
        "session": {"contentType": "application/json"},
        "grant": {"contentType": "application/json"},
    },
}
