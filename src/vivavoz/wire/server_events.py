"""The server events we send, named and shaped as the Realtime reference has them.

``docs/compatibility.md`` lists the ones that are not here, with the reason.
"""

from __future__ import annotations

from typing import Literal

from vivavoz.wire.base import UNSET, Data, UnsetType, tag_of
from vivavoz.wire.items import AnyItem
from vivavoz.wire.options import AnySessionObject
from vivavoz.wire.responses import ResponseObject
from vivavoz.wire.transcription import LogProb


class Error(Data):
    type: str
    code: str | None
    message: str
    param: str | None
    event_id: str | None


class ErrorEvent(Data, tag_field="type", tag="error"):
    event_id: str
    error: Error


class SessionCreated(Data, tag_field="type", tag="session.created"):
    event_id: str
    session: AnySessionObject


class SessionUpdated(Data, tag_field="type", tag="session.updated"):
    event_id: str
    session: AnySessionObject


# ------------------------------------------------------------------------------------- conversation


class ConversationItemAdded(Data, tag_field="type", tag="conversation.item.added"):
    event_id: str
    previous_item_id: str | None
    item: AnyItem


class ConversationItemDone(Data, tag_field="type", tag="conversation.item.done"):
    event_id: str
    previous_item_id: str | None
    item: AnyItem


class ConversationItemRetrieved(Data, tag_field="type", tag="conversation.item.retrieved"):
    event_id: str
    item: AnyItem


class ConversationItemTruncated(Data, tag_field="type", tag="conversation.item.truncated"):
    event_id: str
    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDeleted(Data, tag_field="type", tag="conversation.item.deleted"):
    event_id: str
    item_id: str


# ------------------------------------------------------------------------------------- transcription


class TranscriptionDelta(Data, tag_field="type", tag="conversation.item.input_audio_transcription.delta"):
    event_id: str
    item_id: str
    content_index: int
    delta: str
    logprobs: list[LogProb] | UnsetType = UNSET


class TranscriptionUsage(Data):
    """By duration: what a recogniser of our own counts honestly."""

    type: Literal["duration"]
    seconds: float


class TranscriptionCompleted(
    Data, tag_field="type", tag="conversation.item.input_audio_transcription.completed"
):
    event_id: str
    item_id: str
    content_index: int
    transcript: str
    usage: TranscriptionUsage
    logprobs: list[LogProb] | UnsetType = UNSET


class TranscriptionSegment(Data, tag_field="type", tag="conversation.item.input_audio_transcription.segment"):
    """``start`` and ``end``: seconds. Sent where the recogniser tells speakers apart."""

    event_id: str
    item_id: str
    content_index: int
    id: str
    text: str
    speaker: str
    start: float
    end: float


class TranscriptionError(Data):
    type: str
    code: str
    message: str
    param: str | UnsetType = UNSET


class TranscriptionFailed(Data, tag_field="type", tag="conversation.item.input_audio_transcription.failed"):
    event_id: str
    item_id: str
    content_index: int
    error: TranscriptionError


# ------------------------------------------------------------------------------------- input audio buffer


class InputAudioBufferCommitted(Data, tag_field="type", tag="input_audio_buffer.committed"):
    event_id: str
    previous_item_id: str | None
    item_id: str


class InputAudioBufferCleared(Data, tag_field="type", tag="input_audio_buffer.cleared"):
    event_id: str


class SpeechStarted(Data, tag_field="type", tag="input_audio_buffer.speech_started"):
    event_id: str
    audio_start_ms: int
    item_id: str


class SpeechStopped(Data, tag_field="type", tag="input_audio_buffer.speech_stopped"):
    event_id: str
    audio_end_ms: int
    item_id: str


class TimeoutTriggered(Data, tag_field="type", tag="input_audio_buffer.timeout_triggered"):
    """``idle_timeout_ms`` has passed since the model's last sound."""

    event_id: str
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


# ------------------------------------------------------------------------------------- output audio buffer


class OutputAudioBufferStarted(Data, tag_field="type", tag="output_audio_buffer.started"):
    event_id: str
    response_id: str


class OutputAudioBufferStopped(Data, tag_field="type", tag="output_audio_buffer.stopped"):
    event_id: str
    response_id: str


class OutputAudioBufferCleared(Data, tag_field="type", tag="output_audio_buffer.cleared"):
    event_id: str
    response_id: str


# ------------------------------------------------------------------------------------- responses


class ResponseCreated(Data, tag_field="type", tag="response.created"):
    event_id: str
    response: ResponseObject


class RateLimit(Data):
    """``reset_seconds``: until ``remaining`` is ``limit`` again."""

    name: Literal["tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsUpdated(Data, tag_field="type", tag="rate_limits.updated"):
    """After each ``response.done`` (recorded), where the operator limits tokens."""

    event_id: str
    rate_limits: list[RateLimit]


class ResponseDone(Data, tag_field="type", tag="response.done"):
    event_id: str
    response: ResponseObject


class OutputItemAdded(Data, tag_field="type", tag="response.output_item.added"):
    event_id: str
    response_id: str
    output_index: int
    item: AnyItem


class OutputItemDone(Data, tag_field="type", tag="response.output_item.done"):
    event_id: str
    response_id: str
    output_index: int
    item: AnyItem


class Part(Data):
    """Absent, never null: a client's schema refuses null here."""

    type: Literal["audio", "text"]
    text: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class ContentPartAdded(Data, tag_field="type", tag="response.content_part.added"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: Part


class ContentPartDone(Data, tag_field="type", tag="response.content_part.done"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: Part


class OutputTextDelta(Data, tag_field="type", tag="response.output_text.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class OutputTextDone(Data, tag_field="type", tag="response.output_text.done"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str


class OutputAudioDelta(Data, tag_field="type", tag="response.output_audio.delta"):
    """``delta`` is 24 kHz PCM inside the process; a WebSocket sends it in the response's format, base64."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes


class OutputAudioDone(Data, tag_field="type", tag="response.output_audio.done"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class OutputAudioTranscriptDelta(Data, tag_field="type", tag="response.output_audio_transcript.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class OutputAudioTranscriptDone(Data, tag_field="type", tag="response.output_audio_transcript.done"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str


class FunctionCallArgumentsDelta(Data, tag_field="type", tag="response.function_call_arguments.delta"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class FunctionCallArgumentsDone(Data, tag_field="type", tag="response.function_call_arguments.done"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


# ------------------------------------------------------------------------------------- MCP


class McpListToolsInProgress(Data, tag_field="type", tag="mcp_list_tools.in_progress"):
    event_id: str
    item_id: str


class McpListToolsCompleted(Data, tag_field="type", tag="mcp_list_tools.completed"):
    event_id: str
    item_id: str


class McpListToolsFailed(Data, tag_field="type", tag="mcp_list_tools.failed"):
    event_id: str
    item_id: str


class McpCallArgumentsDelta(Data, tag_field="type", tag="response.mcp_call_arguments.delta"):
    """``obfuscation`` is filling: a client's schema wants a string."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    delta: str
    obfuscation: str


class McpCallArgumentsDone(Data, tag_field="type", tag="response.mcp_call_arguments.done"):
    event_id: str
    response_id: str
    item_id: str
    output_index: int
    arguments: str


class McpCallInProgress(Data, tag_field="type", tag="response.mcp_call.in_progress"):
    event_id: str
    item_id: str
    output_index: int


class McpCallCompleted(Data, tag_field="type", tag="response.mcp_call.completed"):
    event_id: str
    item_id: str
    output_index: int


class McpCallFailed(Data, tag_field="type", tag="response.mcp_call.failed"):
    event_id: str
    item_id: str
    output_index: int


ServerEvent = (
    ErrorEvent
    | SessionCreated
    | SessionUpdated
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemRetrieved
    | ConversationItemTruncated
    | ConversationItemDeleted
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionSegment
    | TranscriptionFailed
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | SpeechStarted
    | SpeechStopped
    | TimeoutTriggered
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | ResponseCreated
    | ResponseDone
    | RateLimitsUpdated
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | OutputAudioDelta
    | OutputAudioDone
    | OutputAudioTranscriptDelta
    | OutputAudioTranscriptDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpCallArgumentsDelta
    | McpCallArgumentsDone
    | McpCallInProgress
    | McpCallCompleted
    | McpCallFailed
)

WEBRTC_FILTER = frozenset(
    {
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.added",
        "conversation.item.created",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
    }
)
"""What a browser gets under ``webrtcfilter=on`` (Azure), so that it never sees the instructions."""


def event_type(event: Data) -> str:
    """The event's ``type`` on the wire."""
    return tag_of(type(event))
