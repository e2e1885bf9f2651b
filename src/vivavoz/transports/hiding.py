"""Items that a connection must not know of, and the events that would tell of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from vivavoz.wire.base import replace
from vivavoz.wire.server_events import ConversationItemAdded, ConversationItemDeleted

Event = TypeVar("Event", bound=msgspec.Struct)


class Hidden:
    """What is hidden is gathered from the events that add items, so every event must pass here, in order.

    No event passes that is about a hidden item; one that names it as the item before is shown with the last
    item before it that may be known.
    """

    def __init__(self, may_be_shown: Callable[[msgspec.Struct], bool]) -> None:
        self._may_be_shown = may_be_shown
        self._before: dict[str, str | None] = {}
        """Ids of the hidden items, and of the item before each: as many as the conversation holds."""

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._before

    def shown(self, event: Event) -> Event | None:
        """The event as it may be shown; None: not at all."""
        if not self._may_be_shown(event):
            if isinstance(event, ConversationItemAdded) and isinstance(item_id := event.item.id, str):
                self._before[item_id] = event.previous_item_id
            return None
        if not self._before:
            return event
        some: Any = event
        about = getattr(some, "item_id", None) or getattr(getattr(some, "item", None), "id", None)
        if about in self._before:
            if isinstance(event, ConversationItemDeleted):
                self._forget(about)
            return None
        previous = getattr(some, "previous_item_id", None)
        if previous in self._before:
            return replace(event, previous_item_id=self._known(previous))
        return event

    def _known(self, item_id: str | None) -> str | None:
        # Bounded, should the ids ever go round in a circle (a client may use a deleted item's again).
        for _ in range(len(self._before)):
            if item_id not in self._before:
                break
            item_id = self._before[item_id]
        return item_id if item_id not in self._before else None

    def _forget(self, item_id: str) -> None:
        before = self._before.pop(item_id)
        for other, previous in self._before.items():
            if previous == item_id:
                self._before[other] = before
