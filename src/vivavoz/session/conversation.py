"""The items of one conversation, and what may be done to them (Realtime reference, "Conversation items")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from vivavoz.session import images
from vivavoz.session.entry import Entry, as_call
from vivavoz.session.input_audio import to_ms, to_samples
from vivavoz.wire.base import Data, tag_of
from vivavoz.wire.errors import ProtocolError, invalid_value, missing
from vivavoz.wire.items import (
    AnyItem,
    ContentPart,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)
from vivavoz.wire.mcp import McpApprovalRequest, McpApprovalResponse

ROOT = "root"
"""``previous_item_id`` of an item that is to stand first."""

MAX_ID_LENGTH = 512

_PARTS: dict[str, tuple[type[ContentPart], ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio),
    "assistant": (OutputText,),
}


class Conversation(Data):
    id: str
    order: list[str] = []
    entries: dict[str, Entry] = {}
    limit: int = 10_000

    @property
    def last(self) -> str | None:
        return self.order[-1] if self.order else None

    def get(self, item_id: str) -> Entry | None:
        return self.entries.get(item_id)

    def __iter__(self) -> Iterator[Entry]:
        return (self.entries[item_id] for item_id in self.order)

    def append(self, entry: Entry) -> str | None:
        """Add at the end; returns the item before it."""
        previous = self.last
        self._insert(len(self.order), entry)
        return previous

    def create(self, item: AnyItem, after: str | None, *, sees: bool = False) -> tuple[Entry, str | None]:
        """A client's item, after ``after`` (None: at the end, ``"root"``: at the beginning).

        Returns the entry and the item before it. Raises :class:`ProtocolError` and changes nothing where
        the id is taken, ``after`` is unknown, or the content does not fit the role.
        """
        check_item(item, sees=sees)
        item_id = str(item.id)
        if item_id in self.entries:
            raise duplicate(item_id)
        if len(self.order) >= self.limit:
            raise ProtocolError(
                f"Error adding item: the conversation already holds {self.limit} items.",
                code="item_create_too_many_items",
            )
        if images.size(item):
            images.check_total(sum(images.size(entry.item) for entry in self), item)
        index = self._position(after)
        entry = Entry(item=item)
        self._insert(index, entry)
        return entry, self.order[index - 1] if index else None

    def delete(self, item_id: str) -> None:
        if item_id not in self.entries:
            raise _absent("deleting", "item_delete_invalid_item_id", item_id)
        self.order.remove(item_id)
        del self.entries[item_id]

    def retrieve(self, item_id: str) -> AnyItem:
        if (entry := self.entries.get(item_id)) is None:
            raise _absent("retrieving", "item_retrieve_invalid_item_id", item_id)
        return entry.item

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """A client's truncation: sound and words after the point were never heard."""
        if (entry := self.entries.get(item_id)) is None:
            raise _absent("truncating", "item_truncate_invalid_item_id", item_id)
        spoken = entry.spoken
        if spoken is None or not isinstance(entry.item, Message):
            raise ProtocolError(
                "Only model output audio messages can be truncated",
                code="unsupported_content_type",
                param="item_id",
            )
        if content_index != 0:
            raise invalid_value(
                f"Invalid value for 'content_index': the item has no audio at index {content_index}.",
                "content_index",
            )
        if audio_end_ms > to_ms(spoken.samples + 23):
            raise invalid_value(
                f"Audio content of {to_ms(spoken.samples)}ms is already shorter than {audio_end_ms}ms",
                "audio_end_ms",
            )
        self.cut(entry, to_samples(audio_end_ms))

    def cut(self, entry: Entry, samples: int) -> None:
        """Shorten an assistant item to what was heard."""
        if entry.spoken is not None and isinstance(entry.item, Message):
            heard = entry.spoken.truncate(samples)
            entry.item = Message(
                id=entry.item.id,
                role="assistant",
                status=entry.item.status,
                content=[OutputAudio(transcript=heard)],
            )

    def keep_audio(self, entry: Entry, audio: bytes) -> None:
        """Keep the sound of the newest turn, and of no other: no model is ever given an older one."""
        for other in self:
            other.audio = b""
        entry.audio = audio

    def said(self, entry: Entry) -> list[Item]:
        """An item as the model shall see it: everything spoken in its ``transcript``."""
        if isinstance(entry.item, McpApprovalResponse):
            return self._declined(entry.item)
        return entry.as_said()

    def restore(self) -> None:
        """Forget all truncations: the next response looks at the whole conversation again."""
        for entry in self:
            entry.dropped = False

    def _declined(self, response: McpApprovalResponse) -> list[Item]:
        """What was asked for and must not be done is told like a call that failed."""
        request = self.entries.get(response.approval_request_id)
        if response.approve or request is None or not isinstance(request.item, McpApprovalRequest):
            return []
        why = f" ({response.reason})" if response.reason else ""
        return as_call(request.item, f"Not done: the user did not approve it{why}.")

    def _position(self, after: str | None) -> int:
        if after is None:
            return len(self.order)
        if after == ROOT:
            return 0
        if after == self.last:
            return len(self.order)
        if after not in self.entries:
            raise ProtocolError(
                f"Error adding item: the previous item with id '{after}' does not exist.",
                code="item_create_invalid_previous_item_id",
                param="previous_item_id",
            )
        return self.order.index(after) + 1

    def _insert(self, index: int, entry: Entry) -> None:
        item_id = str(entry.item.id)
        self.order.insert(index, item_id)
        self.entries[item_id] = entry


def check_item(item: AnyItem, where: str = "item", *, sees: bool = False) -> None:
    """Whether the members fit together, beyond what the types say; ``sees``: whether the model sees images.
    Raises :class:`ProtocolError`."""
    if isinstance(item.id, str) and not 0 < len(item.id) <= MAX_ID_LENGTH:
        raise invalid_value(
            f"Invalid '{where}.id': a string of 1 to {MAX_ID_LENGTH} characters.", f"{where}.id"
        )
    if not isinstance(item, Message):
        return
    for index, part in enumerate(item.content):
        if isinstance(part, InputImage) and item.role == "user":
            images.check(part, f"{where}.content[{index}]", sees)
        else:
            _check_part(item.role, part, f"{where}.content[{index}]")


def _check_part(role: Literal["system", "user", "assistant"], part: ContentPart, where: str) -> None:
    if isinstance(part, _PARTS[role]):
        return
    if isinstance(part, OutputAudio) and role == "assistant":
        # Assistant sound cannot be put in from outside; the hosted services ask for its text instead.
        raise missing(f"{where}.text")
    supported = [f"'{tag_of(kind)}'" for kind in _PARTS[role]]
    raise invalid_value(
        f"Invalid value: '{tag_of(type(part))}'. Supported values are: {' and '.join(supported)}.",
        f"{where}.type",
    )


def duplicate(item_id: str) -> ProtocolError:
    return ProtocolError(
        f"Error adding item: an item with id '{item_id}' already exists.",
        code="item_create_duplicate_item_id",
        param="item.id",
    )


def _absent(doing: str, code: str, item_id: str) -> ProtocolError:
    return ProtocolError(
        f"Error {doing} item: the item with id '{item_id}' does not exist.", code=code, param="item_id"
    )
