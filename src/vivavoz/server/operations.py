"""The operations of the OpenAPI document: what each handler does."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp.typedefs import Handler

from vivavoz.server import beta, calls, client_secrets, cors, health, listing, metrics, realtime, translations
from vivavoz.server.schemas import (
    ANSWER,
    EVENTS,
    EXTENSION,
    FAILURES,
    FORM,
    MINTED,
    OBSERVING,
    OFFER,
    REFUSED,
    REPORT,
    SDP,
    SDP_KINDS,
    WAIT,
    Json,
    answer,
    query,
    ref,
)


def operations(strict: bool, document: Handler) -> dict[Handler, Json]:
    """What each handler does. ``strict``: as Azure has it, with no forms and with its gateway's errors.
    ``document``: the handler that serves the document itself."""
    error: Json = {"schema": ref("HttpError")}
    if strict:
        error = {"schema": {"anyOf": [ref("HttpError"), ref("GatewayError")]}}

    def failures(*statuses: int) -> Json:
        return {
            str(status): {"description": FAILURES[status], "content": {"application/json": error}}
            for status in sorted({*REFUSED, *statuses})
        }

    def minting(summary: str, asked: Json, given: Json) -> Json:
        return {
            "summary": summary,
            "parameters": query("model"),
            "requestBody": {"required": False, "content": {"application/json": {"schema": asked}}},
            "responses": {"200": answer("The secret.", given), **failures(404, 408, 413, 503)},
        }

    offers: Json = {kind: {"schema": SDP, "example": OFFER} for kind in SDP_KINDS}
    if not strict:
        offers["multipart/form-data"] = FORM
    flat: Json = {"type": "object"}
    report = answer("What runs.", REPORT)
    open_to_all: Json = {"security": []}
    here_only = {"403": failures()["403"]}
    return {
        client_secrets.create: minting(
            "Mint a client secret that a browser may hold.",
            ref("ClientSecretRequest" if strict else "GrantedSecretRequest"),
            ref("ClientSecret"),
        ),
        client_secrets.revoke: {
            "summary": "Take a client secret back: it opens nothing more. An extension.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": ref("SecretRevocation")}},
            },
            "responses": {"204": {"description": "It is revoked."}, **failures(408, 413, 503)},
            **EXTENSION,
        },
        listing.list_calls: {
            "summary": "The live calls, at once or when they differ from those of `cursor`. An extension.",
            "parameters": [*query("cursor"), WAIT],
            "responses": {"200": answer("The calls.", ref("CallList")), **failures()},
            **EXTENSION,
        },
        beta.create_session: minting("The same, in the beta's flat form.", flat, MINTED),
        beta.create_transcription_session: minting(
            "The same, for a session that only transcribes.", flat, MINTED
        ),
        calls.create: {
            "summary": "Open a WebRTC call: an SDP offer in, the answer out.",
            "parameters": query("model", "deployment", "intent", "webrtcfilter"),
            "requestBody": {"required": True, "content": offers},
            "responses": {
                "201": ANSWER,
                **failures(404, 408, 413, 415, 429, 503),
            },
            "x-data-channel": EVENTS,
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
                *query("model", "deployment", "intent", "call_id"),
                *([] if strict else OBSERVING),
            ],
            "responses": {"101": {"description": "Events, from here on."}, **failures(404, 426, 429, 503)},
            "x-websocket": {
                "subprotocol": "realtime",
                **EVENTS,
                **({} if strict else {"x-vivavoz-extension": ref("ExtensionEvent")}),
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
        metrics.metrics: {
            "summary": "Counters of all workers, for Prometheus.",
            "responses": {
                "200": {
                    "description": "Its text format.",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                **failures(),
            },
        },
        document: {
            "summary": "This document.",
            "responses": {"200": answer("OpenAPI 3.1.", {"type": "object"}), **here_only},
            **open_to_all,
        },
    }


def _translations(failures: Callable[..., Json]) -> dict[Handler, Json]:
    """What the handlers of translation sessions do."""
    events = {"client": ref("TranslationClientEvent"), "server": ref("TranslationServerEvent")}
    asked = {"application/json": {"schema": ref("TranslationSecretRequest")}}
    return {
        translations.create_secret: {
            "summary": "Mint a client secret for translation sessions.",
            "requestBody": {"required": True, "content": asked},
            "responses": {
                "200": answer("The secret.", ref("TranslationSecret")),
                **failures(404, 408, 413, 503),
            },
        },
        translations.create_call: {
            "summary": "Open a WebRTC call that translates: an SDP offer in, the answer out.",
            "parameters": query("model", "deployment"),
            "requestBody": {
                "required": True,
                "content": {kind: {"schema": SDP, "example": OFFER} for kind in SDP_KINDS},
            },
            "responses": {"201": ANSWER, **failures(404, 408, 413, 415, 429, 503)},
            "x-data-channel": events,
        },
        translations.connect: {
            "summary": "Open a translation session over a WebSocket.",
            "parameters": query("model", "deployment"),
            "responses": {"101": {"description": "Events, from here on."}, **failures(404, 426, 429, 503)},
            "x-websocket": {"subprotocol": "realtime", **events},
        },
    }
