"""Conversation items and their content parts (Realtime reference, "Conversation items").

The same types travel in both directions. ``object`` is accepted, because clients repeat it, and never sent,
because the hosted services do not send it. ``private`` is our own (docs/observers.md): observers may set it,
and only they are told of such an item.
"""

from __future__ import annotations

from typing import Literal

from vivavoz.wire.base import UNSET, Closed, UnsetType
from vivavoz.wire.mcp import McpApprovalResponse, McpItem

Role = Literal["system", "user", "assistant"]
ItemStatus = Literal["completed", "in_progress", "incomplete"]


class InputText(Closed, tag_field="type", tag="input_text"):
    text: str


class InputAudio(Closed, tag_field="type", tag="input_audio"):
    """``transcript`` is always sent, null until it is known: a client throws where the key is missing."""

    audio: str | UnsetType = UNSET
    """Base64, in the session's input format."""
    transcript: str | None = None


class InputImage(Closed, tag_field="type", tag="input_image"):
    """``image_url`` is required of clients, and left out of events that it would make too long."""

    image_url: str | UnsetType = UNSET
    detail: Literal["auto", "low", "high"] | UnsetType = UNSET


class OutputText(Closed, tag_field="type", tag="output_text"):
    text: str


class OutputAudio(Closed, tag_field="type", tag="output_audio"):
    audio: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


ContentPart = InputText | InputAudio | InputImage | OutputText | OutputAudio


class Message(Closed, tag_field="type", tag="message"):
    role: Role
    content: list[ContentPart]
    id: str | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    object: Literal["realtime.item"] | UnsetType = UNSET
    private: bool | UnsetType = UNSET


class FunctionCall(Closed, tag_field="type", tag="function_call"):
    name: str
    arguments: str
    call_id: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    object: Literal["realtime.item"] | UnsetType = UNSET
    private: bool | UnsetType = UNSET


class FunctionCallOutput(Closed, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str
    id: str | UnsetType = UNSET
    status: ItemStatus | UnsetType = UNSET
    object: Literal["realtime.item"] | UnsetType = UNSET
    private: bool | UnsetType = UNSET


Item = Message | FunctionCall | FunctionCallOutput
"""What a model reads and writes."""

ClientItem = Item | McpApprovalResponse
"""What a client may put into the conversation."""

AnyItem = Item | McpItem
"""What a conversation holds."""
