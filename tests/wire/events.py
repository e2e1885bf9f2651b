"""Valid client events with every member set, for tests that break them one member at a time."""

from __future__ import annotations

from typing import Any

TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
PCM = {"type": "audio/pcm", "rate": 24000}
SOUND = {"type": "input_audio", "audio": "AAAA", "transcript": "t"}

SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "i",
    "audio": {
        "input": {
            "format": PCM,
            "transcription": {"model": "m", "language": "en", "prompt": "p"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": 5000,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": PCM, "voice": {"id": "v"}, "speed": 1.0},
    },
    "tools": [TOOL, TOOL],
    "tool_choice": {"type": "function", "name": "f"},
    "max_output_tokens": 7,
    "tracing": {"workflow_name": "w", "group_id": "g", "metadata": {}},
    "truncation": {
        "type": "retention_ratio",
        "retention_ratio": 0.5,
        "token_limits": {"post_instructions": 7},
    },
    "include": ["item.input_audio_transcription.logprobs"],
}

MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "a",
    "role": "user",
    "status": "completed",
    "object": "realtime.item",
    "content": [
        {"type": "input_text", "text": "t"},
        SOUND,
        {"type": "input_image", "image_url": "data:", "detail": "auto"},
        {"type": "output_text", "text": "t"},
        {"type": "output_audio", "audio": "AAAA", "transcript": "t"},
    ],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "a",
    "name": "f",
    "arguments": "{}",
    "call_id": "c",
    "status": "completed",
    "object": "realtime.item",
}
OUTPUT: dict[str, Any] = {
    "type": "function_call_output",
    "id": "a",
    "call_id": "c",
    "output": "o",
    "status": "completed",
    "object": "realtime.item",
}

RESPONSE: dict[str, Any] = {
    "conversation": "none",
    "input": [MESSAGE, CALL, OUTPUT, {"type": "item_reference", "id": "a"}],
    "instructions": "i",
    "output_modalities": ["text"],
    "audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "alloy"}},
    "tools": [TOOL],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "metadata": {"a": "b"},
}

SEMANTIC = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}


def _event(kind: str, **members: Any) -> dict[str, Any]:
    return {"event_id": "e1", "type": kind, **members}


EVENTS: list[dict[str, Any]] = [
    _event("session.update", session=SESSION),
    _event("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": SEMANTIC}}}),
    _event(
        "session.update",
        session={"type": "realtime", "audio": {"input": {"turn_detection": {"type": "none"}}}},
    ),
    _event("input_audio_buffer.append", audio="AAAA"),
    _event("input_audio_buffer.commit"),
    _event("input_audio_buffer.clear"),
    _event("output_audio_buffer.clear"),
    _event("conversation.item.create", item=MESSAGE, previous_item_id="root"),
    _event("conversation.item.create", item=CALL),
    _event("conversation.item.create", item=OUTPUT),
    _event("conversation.item.retrieve", item_id="a"),
    _event("conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=100),
    _event("conversation.item.delete", item_id="a"),
    _event("response.create", response=RESPONSE),
    _event("response.cancel", response_id="r"),
]
