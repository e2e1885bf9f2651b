"""``webrtcfilter``: which of a call's events a browser is sent, by their GA names."""

from __future__ import annotations

import msgspec

from vivavoz.transports.hiding import Event, Hidden
from vivavoz.wire.base import tag_of
from vivavoz.wire.grants import Filter
from vivavoz.wire.items import Message
from vivavoz.wire.server_events import WEBRTC_FILTER, ConversationItemAdded


class EventFilter:
    """One connection's."""

    def __init__(self, level: Filter) -> None:
        self.level: Filter = level
        self._hidden = Hidden(_is_talk)

    def shown(self, event: Event) -> Event | None:
        """The event as the browser may see it; None: not at all."""
        if self.level == "off":
            return event
        shown = self._hidden.shown(event) if self.level == "strict" else event
        return shown if shown is not None and tag_of(type(shown)) in WEBRTC_FILTER else None


def _is_talk(event: msgspec.Struct) -> bool:
    """What was said between the caller and the assistant, and no more than that: nothing of tools, and no
    system messages. An item of a kind that is not known here is not shown."""
    if not isinstance(event, ConversationItemAdded):
        return True
    return isinstance(event.item, Message) and event.item.role != "system"
