"""Items marked ``private`` (an extension): an observer puts them in, the model reads them, and the call's own
client never learns of them. One place for every kind of media client: what goes to it passes ``shown``, what
comes from it passes ``check``."""

from __future__ import annotations

import msgspec

from vivavoz.transports.hiding import Hidden
from vivavoz.wire.client_events import (
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    ResponseCreate,
)
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.responses import ItemReference, ResponsePatch
from vivavoz.wire.server_events import ConversationItemAdded


class Privacy(Hidden):
    """Of one call."""

    def __init__(self) -> None:
        super().__init__(_is_public)

    def check(self, event: msgspec.Struct) -> None:
        """To the client a private item is one that does not exist: raises the :class:`ProtocolError` that the
        session has for those."""
        match event:
            case ConversationItemRetrieve() if event.item_id in self:
                raise _absent("retrieving", "retrieve", event.item_id)
            case ConversationItemTruncate() if event.item_id in self:
                raise _absent("truncating", "truncate", event.item_id)
            case ConversationItemDelete() if event.item_id in self:
                raise _absent("deleting", "delete", event.item_id)
            case ConversationItemCreate(previous_item_id=str() as before) if before in self:
                raise ProtocolError(
                    f"Error adding item: the previous item with id '{before}' does not exist.",
                    code="item_create_invalid_previous_item_id",
                    param="previous_item_id",
                )
            case ResponseCreate(response=ResponsePatch(input=list() as given)):
                for index, item in enumerate(given):
                    if isinstance(item, ItemReference) and item.id in self:
                        where = f"response.input[{index}].id"
                        raise invalid_value(
                            f"Invalid '{where}': the item with id '{item.id}' does not exist.", where
                        )


def _is_public(event: msgspec.Struct) -> bool:
    return not (isinstance(event, ConversationItemAdded) and getattr(event.item, "private", None) is True)


def _absent(doing: str, name: str, item_id: str) -> ProtocolError:
    return ProtocolError(
        f"Error {doing} item: the item with id '{item_id}' does not exist.",
        code=f"item_{name}_invalid_item_id",
        param="item_id",
    )
