"""Which events came, and whether they are shaped as the Realtime API's are. Names only: nothing of what was
said is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import msgspec

from vivavoz.measuring.inbox import Event, Inbox
from vivavoz.wire.base import Data, tag_of
from vivavoz.wire.codec import translate
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.server_events import ServerEvent

_EACH = 25
"""Events of one type that are looked at in a call."""
_MOST_NAMES = 100
_LONGEST = 120

_KINDS: dict[str, type[Data]] = {tag_of(kind): kind for kind in get_args(ServerEvent)}

TURN = (
    "session.created",
    "session.updated",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.output_audio.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
)
"""What a spoken turn and its answer bring over any transport."""
ONLY = {
    "webrtc": ("output_audio_buffer.started", "output_audio_buffer.stopped", "output_audio_buffer.cleared"),
    "websocket": ("response.output_audio.delta",),
}
"""What one transport brings besides; WebRTC's player stops or is cleared."""


class Conformance:
    """Of one transport, over all its calls."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.unreadable = 0
        self.errors: Counter[str] = Counter()
        self._different: dict[str, str] = {}

    def look(self, inbox: Inbox) -> None:
        """Count the events of a call that is over."""
        looked: Counter[str] = Counter()
        self.unreadable += inbox.unreadable
        for _, event in inbox.events:
            kind = _name(event["type"])
            if kind not in self.seen and len(self.seen) >= _MOST_NAMES:
                continue
            self.seen[kind] += 1
            looked[kind] += 1
            if looked[kind] <= _EACH:
                self._check(kind, event)
            if kind == "error" and len(self.errors) < _MOST_NAMES:
                self.errors[_error_code(event)] += 1

    def _check(self, kind: str, event: Event) -> None:
        shape = _KINDS.get(kind)
        if shape is None or kind in self._different:
            return
        try:
            msgspec.convert(event, shape)
        except msgspec.ValidationError as failure:
            error: ProtocolError = translate(failure, shape)
            self._different[kind] = _name(error.param or "the event itself")

    def missing(self, transport: str) -> list[str]:
        """Expected of a spoken turn that was interrupted, and never seen."""
        expected = [*TURN, *ONLY[transport]]
        missing = [kind for kind in expected if kind not in self.seen]
        ends = {"output_audio_buffer.stopped", "output_audio_buffer.cleared"}
        # One end of the voice is enough: which one depends on who was interrupted when.
        return [kind for kind in missing if kind not in ends or not ends & self.seen.keys()]

    def report(self, transport: str) -> dict[str, Any]:
        """``shaped_otherwise``: type -> the member in which it first differs from what vivavoz sends."""
        return {
            "seen": dict(sorted(self.seen.items())),
            "missing": self.missing(transport),
            "not_known_here": sorted(kind for kind in self.seen if kind not in _KINDS),
            "shaped_otherwise": dict(sorted(self._different.items())),
            "unreadable_messages": self.unreadable,
            "errors": dict(self.errors),
        }


def _error_code(event: Event) -> str:
    error = event.get("error")
    told = (error.get("code") or error.get("type")) if isinstance(error, dict) else None
    return _name(told) if isinstance(told, str) and told else "without a code"


def _name(text: str) -> str:
    """A name from outside: printable, and of bounded length."""
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST])
