"""What the official SDK makes of a translation session's events, and what it knows that we do not send."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai.types.realtime import RealtimeTranslationClientEvent, RealtimeTranslationServerEvent
from pydantic import BaseModel, TypeAdapter

from tests.session.oracle import FRAME_LIMIT
from vivavoz.wire.codec import encode
from vivavoz.wire.translation import TranslationServerEvent


def _kinds(union: Any) -> dict[str, type[BaseModel]]:
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(union)[0])}


SERVER_EVENTS = _kinds(RealtimeTranslationServerEvent)
CLIENT_EVENTS = _kinds(RealtimeTranslationClientEvent)


def check(event: TranslationServerEvent) -> None:
    """Raises AssertionError or pydantic's ValidationError where the SDK would not take ``event``."""
    data = encode(event)
    assert len(data) < FRAME_LIMIT
    check_members(json.loads(data))


def check_members(members: dict[str, Any]) -> None:
    """The same of an event that was sent."""
    kind = SERVER_EVENTS[members["type"]]
    parsed = TypeAdapter(kind).validate_json(json.dumps(members), strict=True)
    assert not list(_undeclared(parsed)), members
    assert "null" not in json.dumps(members) or members["type"] in (
        "error",
        "session.created",
        "session.updated",
    )


def _undeclared(value: Any) -> list[str]:
    if not isinstance(value, BaseModel):
        return []
    found = list(value.model_extra or {})
    for name in type(value).model_fields:
        found += _undeclared(getattr(value, name))
    return found
