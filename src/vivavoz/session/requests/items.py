"""The client events of the conversation's items."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from vivavoz.session import images, mcp, rules, transcripts
from vivavoz.session.conversation import duplicate
from vivavoz.session.effects import FeedAudio, FinishJob
from vivavoz.session.entry import Entry
from vivavoz.session.input_audio import SAMPLE_BYTES, to_ms
from vivavoz.session.jobs import Kind
from vivavoz.session.output import Output
from vivavoz.session.state import State
from vivavoz.wire.base import UNSET, replace
from vivavoz.wire.client_events import (
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
)
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.items import ClientItem, FunctionCallOutput, InputAudio, Message
from vivavoz.wire.mcp import McpApprovalResponse
from vivavoz.wire.server_events import (
    ConversationItemDeleted,
    ConversationItemRetrieved,
    ConversationItemTruncated,
)


def create(state: State, out: Output, event: ConversationItemCreate) -> None:
    item = event.item
    if isinstance(item, McpApprovalResponse):
        mcp.check_approval(state, item)
    sound = _sound(item)
    after = event.previous_item_id if isinstance(event.previous_item_id, str) else None
    item = _named(item, out)
    if state.in_the_making(str(item.id)):
        raise duplicate(str(item.id))
    entry, previous = state.conversation.create(item, after, sees=state.settings.sees)
    if sound:
        _listen(state, out, entry, sound)
    rules.added(out, previous, entry.item)
    if isinstance(entry.item, McpApprovalResponse):
        mcp.decide(state, entry.item)


def _named(item: ClientItem, out: Output) -> ClientItem:
    """The item as the conversation keeps it: with an id and a status, without what clients merely repeat."""
    item_id = item.id if item.id is not UNSET else out.ids.next("item")
    members: dict[str, Any] = {"id": item_id, "object": UNSET}
    if isinstance(item, McpApprovalResponse):
        return replace(item, **members, reason=item.reason or UNSET)
    if item.status is UNSET and not isinstance(item, FunctionCallOutput):
        # An output is sent back without a status (recorded).
        members["status"] = "completed"
    if isinstance(item, Message):
        members["content"] = [
            InputAudio(transcript=part.transcript) if isinstance(part, InputAudio) else part
            for part in item.content
        ]
    elif item.call_id is UNSET:
        members["call_id"] = out.ids.next("call")
    return replace(item, **members)


def _sound(item: ClientItem) -> bytes:
    """The sound a client put into an item (mono s16le, 24 kHz by now)."""
    sound = b""
    if isinstance(item, Message):
        for index, part in enumerate(item.content):
            if isinstance(part, InputAudio) and isinstance(part.audio, str):
                where = f"item.content[{index}].audio"
                try:
                    pcm = b64decode(part.audio, validate=True)
                except (Base64Error, ValueError):
                    raise invalid_value(
                        f"Invalid '{where}'. Expected base64-encoded audio bytes.", where
                    ) from None
                if len(pcm) % SAMPLE_BYTES:
                    raise invalid_value(
                        f"Invalid '{where}'. Expected 16-bit samples, but got an odd number of bytes.", where
                    )
                sound += pcm
    return sound


def _listen(state: State, out: Output, entry: Entry, sound: bytes) -> None:
    entry.heard_ms = to_ms(len(sound) // SAMPLE_BYTES)
    if state.settings.plan == "converse":
        state.conversation.keep_audio(entry, sound)
        return
    task = transcripts.task(state)
    entry.transcription = state.jobs.start(out, Kind.TRANSCRIBE, str(entry.item.id), task)
    out.do(FeedAudio(job=entry.transcription, pcm=sound))
    out.do(FinishJob(job=entry.transcription))


def retrieve(state: State, out: Output, event: ConversationItemRetrieve) -> None:
    item = state.conversation.retrieve(event.item_id)
    out.send(ConversationItemRetrieved, item=images.shown(item))


def truncate(state: State, out: Output, event: ConversationItemTruncate) -> None:
    state.conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
    out.send(
        ConversationItemTruncated,
        item_id=event.item_id,
        content_index=event.content_index,
        audio_end_ms=event.audio_end_ms,
    )


def delete(state: State, out: Output, event: ConversationItemDelete) -> None:
    entry = state.conversation.get(event.item_id)
    state.conversation.delete(event.item_id)
    state.requests.pop(event.item_id, None)
    if entry is not None and entry.transcription is not None:
        state.jobs.cancel(out, entry.transcription)
        state.partial.pop(event.item_id, None)
    out.send(ConversationItemDeleted, item_id=event.item_id)
    rules.begin_waiting(state, out)
    rules.answer(state, out)
