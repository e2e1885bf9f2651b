"""What a connection may send: everything, unless its grant or its role says less."""

from __future__ import annotations

import msgspec

from vivavoz.wire.base import tag_of
from vivavoz.wire.client_events import ResponseCreate, SessionUpdate
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.extensions import Role
from vivavoz.wire.grants import Grant
from vivavoz.wire.responses import ResponsePatch

_COACHING = frozenset(
    {"conversation.item.create", "conversation.item.retrieve", "response.create", "response.cancel"}
)
_OF_ROLE: dict[Role, frozenset[str] | None] = {"listen": frozenset(), "coach": _COACHING, "control": None}


class Rights:
    """``check`` passes everything here."""

    def check(self, event: msgspec.Struct) -> None:
        """Raises :class:`ProtocolError`, which names the event that it answers."""


EVERYTHING = Rights()


class RoleRights(Rights):
    def __init__(self, role: Role) -> None:
        self._role = role
        self._events = _OF_ROLE[role]

    def check(self, event: msgspec.Struct) -> None:
        kind = tag_of(type(event))
        if self._events is not None and kind not in self._events:
            raise _refusal(event, f"An observer with the role '{self._role}' may not send", "role_may_not")


class GrantedRights(Rights):
    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    def check(self, event: msgspec.Struct) -> None:
        grant, kind = self._grant, tag_of(type(event))
        if grant.client_events is not None and kind not in grant.client_events:
            raise _refusal(event, "The client secret of this call does not grant", "event_not_granted")
        try:
            match event:
                case SessionUpdate():
                    grant.check_session(event.session, "session")
                case ResponseCreate(response=ResponsePatch(tools=list() as tools)):
                    grant.check_tools(tools, "response.tools")
        except ProtocolError as error:
            error.event_id = _id(event)
            raise


def _refusal(event: msgspec.Struct, why: str, code: str) -> ProtocolError:
    return ProtocolError(f"{why} '{tag_of(type(event))}'.", code=code, param="type", event_id=_id(event))


def _id(event: msgspec.Struct) -> str | None:
    event_id = getattr(event, "event_id", None)
    return event_id if isinstance(event_id, str) else None
