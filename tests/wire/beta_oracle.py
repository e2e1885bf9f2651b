"""What a beta client makes of our events: the official SDK's beta types, taken strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from openai.types.beta.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

UNDECLARED = {
    "session.object": "the hosted beta sent it",
    "session.expires_at": "the hosted beta sent it",
    "session.client_secret": "the hosted beta sent it (null)",
    "session.id": "transcription sessions: the hosted beta sent it",
    "session.include": "transcription sessions: a client may set it",
    "session.input_audio_noise_reduction": "transcription sessions: a client may set it",
    "session.turn_detection.create_response": "transcription sessions: told as it is, false",
    "session.turn_detection.interrupt_response": "transcription sessions: told as it is, false",
    "session.turn_detection.eagerness": "transcription sessions: a client may set it",
    "response.usage.input_token_details.image_tokens": "the core counts them; zero without images",
    "response.usage.input_token_details.cached_tokens_details": "the core counts them",
}
"""Members that a beta client gets and the SDK's types do not declare (they let them pass)."""


def _kinds(union: Any) -> dict[str, type[BaseModel]]:
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(union)[0])}


SERVER_EVENTS = _kinds(RealtimeServerEvent)
CLIENT_EVENTS = _kinds(RealtimeClientEvent)
_adapters = {name: TypeAdapter(kind) for name, kind in SERVER_EVENTS.items()}


def check(message: bytes | str) -> dict[str, Any]:
    """The event's members. Raises AssertionError, or pydantic's ValidationError, where it does not fit."""
    members: dict[str, Any] = json.loads(message)
    validated = members
    if members["type"].startswith("transcription_session."):
        # The SDK has only the update, and wants a secret in it that no connection is told.
        assert members["session"]["client_secret"] is None
        session = {**members["session"], "client_secret": {"value": "", "expires_at": 0}}
        validated = {**members, "type": "transcription_session.updated", "session": session}
    elif "session" in members:
        # The SDK lists the hosted service's models; a deployment may have any name.
        validated = {**members, "session": {**members["session"], "model": "gpt-realtime"}}
    assert validated["type"] in SERVER_EVENTS, f"the beta has no event {members['type']}"
    parsed = _adapters[validated["type"]].validate_json(json.dumps(validated), strict=True)
    undeclared = set(_undeclared(parsed, "")) - set(UNDECLARED)
    assert not undeclared, f"{members['type']} has members that the SDK does not know: {undeclared}"
    for item in [members["item"]] if "item" in members else members.get("response", {}).get("output", []):
        assert item["object"] == "realtime.item"
    return members


def _undeclared(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}".strip(".")
        for name in type(value).model_fields:
            yield from _undeclared(getattr(value, name), f"{path}.{name}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _undeclared(inner, f"{path}[]")
