"""What a sideband asks for in its URL beyond what the hosted services know (docs/observers.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar, get_args

from vivavoz.server.errors import ApiError
from vivavoz.wire.extensions import Extra, Observing, Role, Track

_EVENT_ID = re.compile(r"[!-~]{1,128}")
_TRACKS: Mapping[str, tuple[Track, ...]] = {
    "both": ("caller", "assistant"),
    "input": ("caller",),
    "output": ("assistant",),
}
_ROLES: Mapping[str, Role] = {role: role for role in get_args(Role)}
_EXTRAS: Mapping[str, Extra] = {extra: extra for extra in get_args(Extra)}

_T = TypeVar("_T")


def observing_of(query: Mapping[str, str]) -> Observing:
    """Nothing of it there: as the hosted services do. Raises ApiError (400) for what is not known."""
    after = query.get("after")
    if after is not None and not _EVENT_ID.fullmatch(after):
        raise _unknown("after", "'start' or the id of an event")
    extras = [part.strip() for part in query.get("extras", "").split(",") if part.strip()]
    return Observing(
        role=_one_of(_ROLES, query, "role", "control"),
        after=after,
        tracks=_one_of(_TRACKS, query, "audio", ()),
        extras=tuple(_known(_EXTRAS, "extras", extra) for extra in dict.fromkeys(extras)),
    )


def _one_of(known: Mapping[str, _T], query: Mapping[str, str], name: str, absent: _T) -> _T:
    value = query.get(name)
    return absent if value is None else _known(known, name, value)


def _known(known: Mapping[str, _T], name: str, value: str) -> _T:
    if value not in known:
        raise _unknown(name, f"one of {', '.join(map(repr, known))}")
    return known[value]


def _unknown(name: str, expected: str) -> ApiError:
    return ApiError(
        400, f"Invalid value for '{name}': expected {expected}.", code="invalid_value", param=name
    )
