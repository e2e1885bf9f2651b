"""A call's latest events, for those who look at it: bounded, and without sound."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

import msgspec

from vivavoz.app.observer.fields import identifier, members, objects, text
from vivavoz.app.observer.ports import Entry, Event, Filtered, Sender
from vivavoz.wire.server_events import WEBRTC_FILTER

MAX_ENTRIES = 2000
MAX_BYTES = 4 * 1024 * 1024
MAX_ENTRY_BYTES = 64 * 1024
KEPT_ENTRIES = 500
"""Of a call that is over."""
KEPT_BYTES = 512 * 1024
MAX_PRIVATE = 1000

_SOUND = re.compile(rb'"audio"\s*:\s*"')
_SOUND_DELTAS = frozenset({"response.output_audio.delta", "session.output_audio.delta"})
_TOOL_ITEMS = frozenset({"function_call", "function_call_output"})


class EventLog:
    """``entries``, oldest first. ``n`` counts on over those that are forgotten."""

    def __init__(self, filtered: Filtered) -> None:
        self.entries: deque[Entry] = deque()
        self.count = 0
        self._filtered = filtered
        self._bytes = 0
        self._private: dict[str, None] = {}

    def add(self, at: float, sender: Sender, event: Event, raw: bytes) -> Entry:
        """``raw``: the event as JSON, without sound."""
        self.count += 1
        shown = raw if len(raw) <= MAX_ENTRY_BYTES else _outline(event, len(raw))
        seen = self._seen(sender, event)
        entry = Entry(n=self.count, at=at, sender=sender, seen=seen, event=msgspec.Raw(shown))
        self.entries.append(entry)
        self._bytes += len(shown)
        self._forget(MAX_ENTRIES, MAX_BYTES)
        return entry

    def after(self, n: int, limit: int) -> list[Entry]:
        """The entries that follow number ``n``, at most ``limit`` of them."""
        found = [entry for entry in self.entries if entry.n > n]
        return found[:limit]

    def latest(self, limit: int) -> list[Entry]:
        return list(self.entries)[-limit:]

    def over(self) -> None:
        """The call has ended: keep less of it."""
        self._forget(KEPT_ENTRIES, KEPT_BYTES)

    def _forget(self, entries: int, size: int) -> None:
        while len(self.entries) > entries or self._bytes > size:
            self._bytes -= len(bytes(self.entries.popleft().event))

    def _seen(self, sender: Sender, event: Event) -> bool:
        """Whether the browser is sent it; of what observers send, it is not."""
        item = members(event, "item")
        item_id = identifier(item, "id")
        if item.get("private") is True and item_id:
            self._private[item_id] = None
            if len(self._private) > MAX_PRIVATE:
                del self._private[next(iter(self._private))]
        kind = text(event, "type")
        if sender != "server" or kind.startswith("vivavoz."):
            return False
        if item_id in self._private or identifier(event, "item_id") in self._private:
            return False
        if self._filtered == "off":
            return True
        if kind not in WEBRTC_FILTER:
            return False
        hidden = text(item, "type") in _TOOL_ITEMS or text(item, "role") == "system"
        return not (self._filtered == "strict" and hidden)


def without_sound(event: dict[str, Any], raw: bytes) -> bytes:
    """The event as JSON with every sound in it emptied; changes ``event`` where there is any."""
    if event.get("type") in _SOUND_DELTAS:
        event["delta"] = ""
    elif _SOUND.search(raw):
        _silence(event)
    else:
        return raw
    return msgspec.json.encode(event)


def _silence(value: Any) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "audio" and isinstance(inner, str):
                value[name] = ""
            else:
                _silence(inner)
    elif isinstance(value, list):
        for inner in value:
            _silence(inner)


def _outline(event: Event, size: int) -> bytes:
    """What is shown of an event that is too long to be kept."""
    item = members(event, "item")
    parts = [text(part, "type")[:64] for part in objects(item, "content", 16)]
    known = {
        "type": text(event, "type")[:128],
        "event_id": identifier(event, "event_id"),
        "item": {"id": identifier(item, "id"), "type": text(item, "type")[:64], "content": parts}
        if item
        else None,
        "bytes_left_out": size,
    }
    return msgspec.json.encode({name: value for name, value in known.items() if value is not None})
