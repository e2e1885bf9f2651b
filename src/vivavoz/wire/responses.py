"""The response object, its usage, and what ``response.create`` may override (Realtime reference)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from vivavoz.wire.base import UNSET, Closed, Data, UnsetType
from vivavoz.wire.items import AnyItem, ContentPart, FunctionCall, FunctionCallOutput, ItemStatus, Role
from vivavoz.wire.options import AudioFormat, MaxTokens, Modality, Prompt, Reasoning, Voice
from vivavoz.wire.tools import Tool, ToolChoice

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


# ------------------------------------------------------------------------------------- response.create


class ItemReference(Closed, tag_field="type", tag="item_reference"):
    id: str


class InputMessage(Closed, tag_field="type", tag="message"):
    """A message inside ``response.input``; the same as a conversation item's."""

    role: Role
    content: list[ContentPart]
    id: str | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    object: Literal["realtime.item"] | UnsetType = UNSET


ResponseInput = InputMessage | FunctionCall | FunctionCallOutput | ItemReference


class ResponseAudioOutputPatch(Closed):
    format: AudioFormat | UnsetType = UNSET
    voice: Voice | UnsetType = UNSET


class ResponseAudioPatch(Closed):
    output: ResponseAudioOutputPatch | UnsetType = UNSET


class ResponsePatch(Closed):
    """Absent and null alike leave the session's value in force (a client sends ``instructions: null``)."""

    conversation: Literal["auto", "none"] | UnsetType | None = UNSET
    input: list[ResponseInput] | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    output_modalities: list[Modality] | UnsetType | None = UNSET
    audio: ResponseAudioPatch | UnsetType | None = UNSET
    tools: list[Tool] | UnsetType | None = UNSET
    tool_choice: ToolChoice | UnsetType | None = UNSET
    max_output_tokens: MaxTokens | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    prompt: Prompt | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET


# ------------------------------------------------------------------------------------- response object


class CachedTokensDetails(Data):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputTokenDetails(Data):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedTokensDetails = field(default_factory=CachedTokensDetails)


class OutputTokenDetails(Data):
    text_tokens: int = 0
    audio_tokens: int = 0


class ResponseUsage(Data):
    """Tokens. Sound counts one token per 100 ms heard and one per 50 ms said; text as the engine counts."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokenDetails
    output_token_details: OutputTokenDetails


class ResponseError(Data):
    type: str
    code: str
    message: str | UnsetType = UNSET


class StatusDetails(Data):
    type: Literal["cancelled", "incomplete", "failed"]
    reason: (
        Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"] | UnsetType
    ) = UNSET
    error: ResponseError | UnsetType = UNSET


class ResponseAudioOutput(Data):
    format: AudioFormat
    voice: Voice


class ResponseAudio(Data):
    output: ResponseAudioOutput


ResponseStatus = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]


class ResponseObject(Data):
    object: str
    id: str
    status: ResponseStatus
    status_details: StatusDetails | None
    output: list[AnyItem]
    conversation_id: str | None
    output_modalities: list[Modality]
    max_output_tokens: int | Literal["inf"]
    audio: ResponseAudio
    usage: ResponseUsage | None
    metadata: dict[str, str] | None
