"""What other people's clients make of our events: the official SDK's types, and the schemas of clients that
are known to drop an event, or to die of it, over one member.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from vivavoz.wire.codec import encode
from vivavoz.wire.server_events import ServerEvent, event_type

FRAME_LIMIT = 2**20
"""Bytes of one message that clients built on the ``websockets`` package accept by default."""

SOUND_FORMATS = ({"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"})

MCP_ITEMS = ("mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response")

UNDECLARED = {
    "session.id": "the hosted services send it",
    "session.object": "the hosted services send it",
    "session.expires_at": "the hosted services send it",
}
"""Members that we send and the SDK's types do not declare (they let them pass)."""


def _kinds(union: Any) -> dict[str, type[BaseModel]]:
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(union)[0])}


SERVER_EVENTS = _kinds(RealtimeServerEvent)
CLIENT_EVENTS = _kinds(RealtimeClientEvent)
_adapters = {name: TypeAdapter(kind) for name, kind in SERVER_EVENTS.items()}


def check(event: ServerEvent) -> None:
    """Raises AssertionError (or pydantic's ValidationError) where some client would not take ``event``."""
    data = encode(event)
    parsed = _adapters[event_type(event)].validate_json(data, strict=True)
    undeclared = set(_undeclared(parsed, "")) - set(UNDECLARED)
    assert not undeclared, f"{event_type(event)} has members that the SDK does not know: {undeclared}"
    members = json.loads(data)
    _check_agents_js(members)
    _check_pipecat(members)
    if members["type"] == "response.output_audio.delta":
        assert len(data) < FRAME_LIMIT


def _undeclared(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}".strip(".")
        for name in type(value).model_fields:
            yield from _undeclared(getattr(value, name), f"{path}.{name}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _undeclared(inner, f"{path}[]")


def _items(members: dict[str, Any]) -> list[dict[str, Any]]:
    found = [members["item"]] if "item" in members else []
    return found + members.get("response", {}).get("output", [])


def _check_agents_js(members: dict[str, Any]) -> None:
    """Its schemas take absence where they do not take null, and an event that does not fit is ignored."""
    for item in _items(members):
        for name in ("id", "call_id", "name", "arguments", "output", "role", "status"):
            if (item["type"], name) == ("mcp_call", "output"):
                assert name in item, "its schema for calls takes null and no absence"
            else:
                assert item.get(name, "") is not None, f"{name} is null in {item}"
        assert item["id"]
        for part in item.get("content", []):
            if part["type"] == "input_audio":
                assert "transcript" in part, "a missing key throws in its message handler"
                assert part.get("audio", "") is not None
            else:
                assert None not in part.values()
    if "part" in members:
        assert members["part"]["type"] in ("audio", "text")
        assert None not in members["part"].values()
    if members["type"].endswith("input_audio_transcription.failed"):
        assert None not in members["error"].values()
    if members["type"].endswith("input_audio_transcription.completed"):
        assert set(members["usage"]) == {"type", "seconds"}
    usage = members.get("response", {}).get("usage")
    if usage is not None:
        assert set(usage) == {
            "total_tokens",
            "input_tokens",
            "output_tokens",
            "input_token_details",
            "output_token_details",
        }
        assert all(isinstance(number, int) and number >= 0 for number in _numbers(usage))


def _numbers(value: Any) -> Iterator[Any]:
    for inner in value.values():
        yield from _numbers(inner) if isinstance(inner, dict) else [inner]


def _check_pipecat(members: dict[str, Any]) -> None:
    """Its models are strict, and one that does not fit ends the conversation."""
    for item in _items(members):
        # Its models have no MCP items; no client meets them unless it asked for MCP tools.
        assert item["type"] in ("message", "function_call", "function_call_output", *MCP_ITEMS)
        assert "object" not in item
    if "response" in members:
        assert "status_details" in members["response"]
        assert members["response"]["object"] == "realtime.response"
    if "session" in members:
        session = members["session"]
        if session["type"] == "transcription":
            # It knows no such sessions.
            assert set(session["audio"]) == {"input"}
            return
        for direction in ("input", "output"):
            sound = session["audio"][direction]["format"]
            assert sound in (
                {"type": "audio/pcm", "rate": 24000},
                {"type": "audio/pcmu"},
                {"type": "audio/pcma"},
            )
        transcription = session["audio"]["input"]["transcription"]
        assert transcription is None or set(transcription) == {"model", "language", "prompt"}
        assert session["tracing"] in (None, "auto") or isinstance(session["tracing"], dict)
    if members["type"] == "error":
        assert isinstance(members["error"]["type"], str)
        assert isinstance(members["error"]["message"], str)
