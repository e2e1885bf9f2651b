"""The client events (Realtime reference). Any may carry an ``event_id`` of the client's choice."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vivavoz.wire.base import UNSET, Closed, UnsetType
from vivavoz.wire.items import ClientItem
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.responses import ResponsePatch

EventId = Annotated[str, Meta(max_length=512)] | None | UnsetType
ItemId = Annotated[str, Meta(min_length=1, max_length=512)]
Position = Annotated[int, Meta(ge=0, le=2**53)]


class SessionUpdate(Closed, tag_field="type", tag="session.update"):
    session: AnyPatch
    event_id: EventId = UNSET


class InputAudioBufferAppend(Closed, tag_field="type", tag="input_audio_buffer.append"):
    audio: bytes
    """Base64 on the wire, in the session's input format; no reply is sent."""
    event_id: EventId = UNSET


class InputAudioBufferCommit(Closed, tag_field="type", tag="input_audio_buffer.commit"):
    event_id: EventId = UNSET


class InputAudioBufferClear(Closed, tag_field="type", tag="input_audio_buffer.clear"):
    event_id: EventId = UNSET


class OutputAudioBufferClear(Closed, tag_field="type", tag="output_audio_buffer.clear"):
    event_id: EventId = UNSET


class ConversationItemCreate(Closed, tag_field="type", tag="conversation.item.create"):
    item: ClientItem
    previous_item_id: str | UnsetType | None = UNSET
    event_id: EventId = UNSET


class ConversationItemRetrieve(Closed, tag_field="type", tag="conversation.item.retrieve"):
    item_id: ItemId
    event_id: EventId = UNSET


class ConversationItemTruncate(Closed, tag_field="type", tag="conversation.item.truncate"):
    item_id: ItemId
    content_index: Position
    audio_end_ms: Position
    event_id: EventId = UNSET


class ConversationItemDelete(Closed, tag_field="type", tag="conversation.item.delete"):
    item_id: ItemId
    event_id: EventId = UNSET


class ResponseCreate(Closed, tag_field="type", tag="response.create"):
    response: ResponsePatch | UnsetType | None = UNSET
    event_id: EventId = UNSET


class ResponseCancel(Closed, tag_field="type", tag="response.cancel"):
    response_id: str | UnsetType | None = UNSET
    event_id: EventId = UNSET


ClientEvent = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel
)
