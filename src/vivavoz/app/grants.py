"""What a token of our own service allows, and whose it is."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from vivavoz.app.config import Filter
from vivavoz.app.profiles import NAME, Profile

Origin = Literal["token", "connect"]

_MAX_LABEL = 120


_MARKS: dict[str, Origin] = {":": "token", "=": "connect"}
"""What stands between profile and user, and how such a call began."""


class Labelled(NamedTuple):
    profile: str
    user: str
    origin: Origin


def token_grant(
    profile: Profile, user: str, filtered: Filter, *, max_seconds: int | None = None
) -> dict[str, Any]:
    """Of a token: one call unless the profile says otherwise, its filter bound, labelled so that whoever
    finds the call knows whose it is. ``max_seconds``: what the user's budget leaves."""
    grant = call_grant(profile, user, filtered, max_seconds=max_seconds)
    return {**grant, "max_calls": profile.max_calls, "label": label_of(profile.name, user, "token")}


def call_grant(
    profile: Profile, user: str, filtered: Filter, *, max_seconds: int | None = None
) -> dict[str, Any]:
    """Of a call that is opened without a token, which counts no calls."""
    grant: dict[str, Any] = {**profile.grant, "label": label_of(profile.name, user, "connect")}
    if filtered != "off":
        grant["filter"] = filtered
    if max_seconds is not None:
        grant["max_seconds"] = max(1, min(max_seconds, int(grant.get("max_seconds") or max_seconds)))
    return grant


def label_of(profile: str, user: str, origin: Origin) -> str:
    """At most 120 characters; a longer user's name is cut."""
    mark = next(mark for mark, begins in _MARKS.items() if begins == origin)
    return f"{profile}{mark}{user}"[:_MAX_LABEL]


def read_label(label: str | None) -> Labelled | None:
    """None: not of :func:`label_of`, so the call was not begun through us."""
    for mark, origin in _MARKS.items():
        profile, found, user = (label or "").partition(mark)
        if found and user and NAME.fullmatch(profile):
            return Labelled(profile, user, origin)
    return None
