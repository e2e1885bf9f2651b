"""What the OpenAPI document says of bodies, parameters and answers."""

from __future__ import annotations

from typing import Any

from vivavoz.server import listing

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"

EXTENSION: Json = {"x-vivavoz-extension": True}
"""On what the hosted services have not."""

REFUSED = (400, 401, 403, 429)

FAILURES = {
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

MINTED: Json = {
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

REPORT: Json = {
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

OBSERVING: list[Json] = [
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

WAIT: Json = {
    "name": "wait",
    "in": "query",
    "description": "How long to wait for a change (s).",
    "schema": {"type": "number", "minimum": 0, "maximum": listing.MAX_WAIT_S, "multipleOf": 0.001},
}


def ref(name: str) -> Json:
    return {"$ref": SCHEMAS + name}


def answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def query(*names: str) -> list[Json]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]


EVENTS: Json = {"client": ref("ClientEvent"), "server": ref("ServerEvent")}
SDP_KINDS = ("application/sdp", "text/plain", "application/octet-stream")
SDP: Json = {"type": "string", "pattern": r"^\s*v=0"}
OFFER = "\r\n".join(
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

ANSWER: Json = {
    "description": "The answer. `Location` ends in the call's id.",
    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
    "content": {"application/sdp": {"schema": SDP}},
}

FORM: Json = {
    "schema": {
        "type": "object",
        "required": ["sdp"],
        "properties": {"sdp": SDP, "session": ref("SessionRequest"), "grant": ref("Grant")},
    },
    "encoding": {
        "sdp": {"contentType": "application/sdp"},
        "session": {"contentType": "application/json"},
        "grant": {"contentType": "application/json"},
    },
}
