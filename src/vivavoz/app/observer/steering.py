"""What an operator may send into a call, checked before it goes out."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from vivavoz.app.errors import AppError
from vivavoz.app.observer.ports import WatchRole
from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.errors import ProtocolError

MAX_EVENT_BYTES = 2 * 1024 * 1024
COACH = frozenset(
    {"conversation.item.create", "conversation.item.retrieve", "response.create", "response.cancel"}
)
"""What a coach may send; who controls may send everything, who listens nothing."""


def role_of(text: str | None) -> WatchRole:
    """None: listen. Raises AppError."""
    role = text or "listen"
    if role not in get_args(WatchRole):
        raise AppError(400, "Expected the role listen, coach or control.", "invalid_value", "role")
    return role  # type: ignore[return-value]


def checked(data: bytes, *, strict: bool) -> dict[str, Any]:
    """One client event. ``strict``: the service is our own, which knows no others than this codec; a hosted
    one may know more, and says itself what is wrong. Raises AppError, which names the member."""
    if len(data) > MAX_EVENT_BYTES:
        raise AppError(413, f"An event has at most {MAX_EVENT_BYTES} bytes.", "request_too_large")
    try:
        if strict:
            decode_client_event(data)
        event = msgspec.json.decode(data)
    except ProtocolError as error:
        raise AppError(400, error.message, error.code or "invalid_event", error.param) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise AppError(400, "Expected one client event as JSON.", "invalid_json") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise AppError(400, "Expected a client event: a JSON object with a 'type'.", "invalid_event", "type")
    return event


def allowed(role: WatchRole, event: dict[str, Any]) -> None:
    """Raises AppError (403)."""
    if role == "control" or (role == "coach" and event["type"] in COACH):
        return
    may = "nothing" if role == "listen" else ", ".join(sorted(COACH))
    raise AppError(403, f"Who watches as {role} may send {may}.", "role_may_not", "type")
