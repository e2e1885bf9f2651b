"""What a connection may send: everything, unless its grant or its role says less."""

from __future__ import annotations

import msgspec

from vivavoz.wire.base import UNSET, tag_of
from vivavoz.wire.client_events import ConversationItemCreate, ResponseCreate, SessionUpdate
from vivavoz.wire.errors import ProtocolError, unknown
from vivavoz.wire.extensions import Role
from vivavoz.wire.grants import Grant
from vivavoz.wire.responses import ResponsePatch

_COACHING = frozenset(
    {"conversation.item.create", "conversation.item.retrieve", "response.create", "response.cancel"}
)
_OF_ROLE: dict[Role, frozenset[str] | None] = {"listen": frozenset(), "coach": _COACHING, "control": None}


class Rights:
    """``hides``: it may put in items marked ``private``."""

    def __init__(self, *, hides: bool = False) -> None:
        self._hides = hides

    def check(self, event: msgspec.Struct) -> None:
        """Raises :class:`ProtocolError`."""
        match event:
            case ConversationItemCreate(item=item) if not self._hides and _is_marked(item):
                raise unknown("item.private")
            case ResponseCreate(response=ResponsePatch(input=list() as given)):
                for index, item in enumerate(given):
                    if _is_marked(item):
                        raise unknown(f"response.input[{index}].private")


EVERYTHING = Rights()


class RoleRights(Rights):
    def __init__(self, role: Role, *, hides: bool = True) -> None:
        super().__init__(hides=hides)
        self._role = role
        self._events = _OF_ROLE[role]

    def check(self, event: msgspec.Struct) -> None:
        super().check(event)
        kind = tag_of(type(event))
        if self._events is not None and kind not in self._events:
            raise _refusal(kind, f"An observer with the role '{self._role}' may not send", "role_may_not")


class GrantedRights(Rights):
    def __init__(self, grant: Grant) -> None:
        super().__init__()
        self._grant = grant

    def check(self, event: msgspec.Struct) -> None:
        super().check(event)
        grant, kind = self._grant, tag_of(type(event))
        if grant.client_events is not None and kind not in grant.client_events:
            raise _refusal(kind, "The client secret of this call does not grant", "event_not_granted")
        match event:
            case SessionUpdate():
                grant.check_session(event.session, "session")
            case ResponseCreate(response=ResponsePatch(tools=list() as tools)):
                grant.check_tools(tools, "response.tools")


def _is_marked(item: object) -> bool:
    return getattr(item, "private", UNSET) is not UNSET


def _refusal(kind: str, why: str, code: str) -> ProtocolError:
    return ProtocolError(f"{why} '{kind}'.", code=code, param="type")
