"""A beta client's events as GA events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from vivavoz.wire.beta.items import item_to_ga
from vivavoz.wire.beta.tables import RESPONSE, SESSION, TRANSCRIPTION_SESSION, Member
from vivavoz.wire.errors import ProtocolError, unknown
from vivavoz.wire.options import Kind


class _Head(msgspec.Struct):
    type: str


_head = msgspec.json.Decoder(_Head)
_encoder = msgspec.json.Encoder()
_SHOWN = 200
"""Characters of a name that the client made up."""


def to_ga(data: str | bytes) -> str | bytes:
    """The same event in GA's words; ``data`` itself where they are the same, or where it is no event at all
    (which the GA decoder says better).

    Raises :class:`ProtocolError` with the beta's param paths and the event's ``event_id``.
    """
    try:
        # Reads past everything else, so that sound (15 MiB at most) is neither copied nor kept.
        translator = _TRANSLATORS.get(_head.decode(data).type)
        if translator is None:
            return data
        event = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return data
    try:
        translator(event)
        return _encoder.encode(event)
    except ProtocolError as error:
        event_id = event.get("event_id")
        error.event_id = event_id if isinstance(event_id, str) and len(event_id) <= 512 else None
        raise
    except RecursionError:
        return data


def session_to_ga(session: dict[str, Any], where: str, kind: Kind = "realtime") -> dict[str, Any]:
    """The flat session as a GA patch. ``where``: its path in the client's message."""
    table = SESSION if kind == "realtime" else TRANSCRIPTION_SESSION
    return {"type": kind, **_nest(session, table, where)}


def _session_update(event: dict[str, Any]) -> None:
    if isinstance(event.get("session"), dict):
        event["session"] = session_to_ga(event["session"], "session")


def _response_create(event: dict[str, Any]) -> None:
    if isinstance(event.get("response"), dict):
        # Null leaves the session's value in force, as does a member that is not there.
        given = {name: value for name, value in event["response"].items() if value is not None}
        event["response"] = _nest(given, RESPONSE, "response")


def _item_create(event: dict[str, Any]) -> None:
    if "item" in event:
        event["item"] = item_to_ga(event["item"], "item")


def _transcription_session_update(event: dict[str, Any]) -> None:
    event["type"] = "session.update"
    if isinstance(event.get("session"), dict):
        event["session"] = session_to_ga(event["session"], "session", "transcription")


_TRANSLATORS: dict[str, Callable[[dict[str, Any]], None]] = {
    "session.update": _session_update,
    "response.create": _response_create,
    "conversation.item.create": _item_create,
    "transcription_session.update": _transcription_session_update,
}


def _nest(flat: dict[str, Any], table: Iterable[Member], where: str) -> dict[str, Any]:
    members = {member.beta: member for member in table}
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        if name not in members:
            name = name[:_SHOWN]
            raise unknown(f"{where}.{name}" if where else name)
        path = f"{where}.{name}" if where else name
        member = members[name]
        translated = member.to_ga(value, path)
        if member.ga:
            inner = nested
            for step in member.ga[:-1]:
                inner = inner.setdefault(step, {})
            inner[member.ga[-1]] = translated
    return nested
