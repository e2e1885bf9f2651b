"""What is called what. ``docs/beta.md`` is these tables in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from vivavoz.wire.beta import values
from vivavoz.wire.beta.items import items_to_ga


class Member(NamedTuple):
    """One member of the beta's flat objects, and where it is in GA."""

    beta: str
    ga: tuple[str, ...]
    """Path; empty: GA has no such member, a client's value is checked and left out."""
    to_ga: Callable[[Any, str], Any] = values.same_to_ga
    to_beta: Callable[[Any], Any] = values.same_to_beta


_TURN_DETECTION = (values.turn_detection_to_ga, values.turn_detection_to_beta)
_FORMAT = (values.format_to_ga, values.format_to_beta)
_MODALITIES = (values.modalities_to_ga, values.modalities_to_beta)
_TEMPERATURE = (values.temperature_to_ga, values.temperature_to_beta)
_VOICE = (values.same_to_ga, values.voice_to_beta)

_HEARD = (
    Member("input_audio_noise_reduction", ("audio", "input", "noise_reduction")),
    Member("turn_detection", ("audio", "input", "turn_detection"), *_TURN_DETECTION),
    Member("input_audio_format", ("audio", "input", "format"), *_FORMAT),
    Member("input_audio_transcription", ("audio", "input", "transcription")),
    Member("client_secret", (), values.client_secret_to_ga, lambda value: None),
)

SESSION = (
    *_HEARD,
    Member("model", ("model",)),
    Member("modalities", ("output_modalities",), *_MODALITIES),
    Member("instructions", ("instructions",)),
    Member("voice", ("audio", "output", "voice"), *_VOICE),
    Member("output_audio_format", ("audio", "output", "format"), *_FORMAT),
    Member("tool_choice", ("tool_choice",), values.tool_choice_to_ga, values.tool_choice_to_beta),
    Member("temperature", (), *_TEMPERATURE),
    Member("max_response_output_tokens", ("max_output_tokens",)),
    Member("speed", ("audio", "output", "speed")),
    Member("tracing", ("tracing",)),
    Member("tools", ("tools",), values.tools_to_ga, values.tools_to_beta),
)
"""The session, in the order in which the beta wrote it."""

TRANSCRIPTION_SESSION = (
    *_HEARD,
    Member("include", ("include",)),
    Member("modalities", (), values.modalities_to_ga, lambda value: ["audio", "text"]),
)
"""A session that only transcribes."""

RESPONSE = (
    Member("conversation", ("conversation",)),
    Member("input", ("input",), items_to_ga),
    Member("instructions", ("instructions",)),
    Member("modalities", ("output_modalities",), values.modalities_to_ga),
    Member("voice", ("audio", "output", "voice")),
    Member("output_audio_format", ("audio", "output", "format"), values.format_to_ga),
    Member("tools", ("tools",), values.tools_to_ga),
    Member("tool_choice", ("tool_choice",), values.tool_choice_to_ga),
    Member("temperature", (), values.temperature_to_ga),
    Member("max_response_output_tokens", ("max_output_tokens",), values.max_tokens_to_ga),
    Member("max_output_tokens", ("max_output_tokens",), values.max_tokens_to_ga),
    Member("metadata", ("metadata",)),
)
"""What ``response.create`` may override."""

SERVER_EVENTS: dict[str, str | None] = {
    "error": "error",
    "session.created": "session.created",
    "session.updated": "session.updated",
    "conversation.created": "conversation.created",
    "conversation.item.added": "conversation.item.created",
    "conversation.item.done": None,
    "conversation.item.created": "conversation.item.created",
    "conversation.item.retrieved": "conversation.item.retrieved",
    "conversation.item.truncated": "conversation.item.truncated",
    "conversation.item.deleted": "conversation.item.deleted",
    "conversation.item.input_audio_transcription.delta": (
        "conversation.item.input_audio_transcription.delta"
    ),
    "conversation.item.input_audio_transcription.completed": (
        "conversation.item.input_audio_transcription.completed"
    ),
    "conversation.item.input_audio_transcription.failed": (
        "conversation.item.input_audio_transcription.failed"
    ),
    "conversation.item.input_audio_transcription.segment": None,
    "input_audio_buffer.committed": "input_audio_buffer.committed",
    "input_audio_buffer.cleared": "input_audio_buffer.cleared",
    "input_audio_buffer.speech_started": "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped": "input_audio_buffer.speech_stopped",
    "input_audio_buffer.timeout_triggered": None,
    "input_audio_buffer.dtmf_event_received": None,
    "output_audio_buffer.started": "output_audio_buffer.started",
    "output_audio_buffer.stopped": "output_audio_buffer.stopped",
    "output_audio_buffer.cleared": "output_audio_buffer.cleared",
    "response.created": "response.created",
    "response.done": "response.done",
    "response.output_item.added": "response.output_item.added",
    "response.output_item.done": "response.output_item.done",
    "response.content_part.added": "response.content_part.added",
    "response.content_part.done": "response.content_part.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.delta",
    "response.function_call_arguments.done": "response.function_call_arguments.done",
    "response.mcp_call_arguments.delta": None,
    "response.mcp_call_arguments.done": None,
    "response.mcp_call.in_progress": None,
    "response.mcp_call.completed": None,
    "response.mcp_call.failed": None,
    "mcp_list_tools.in_progress": None,
    "mcp_list_tools.completed": None,
    "mcp_list_tools.failed": None,
    "rate_limits.updated": "rate_limits.updated",
}
"""GA's server events and the beta's names for them. None: the beta never had it, and it is not sent.

The session's own two are ``transcription_session.created`` and ``.updated`` where it only transcribes.
"""
