"""What a token of our own service allows, and whose it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from vivavoz.app.config import Filter
from vivavoz.app.profiles import NAME, Profile

_MAX_LABEL = 120


class Labelled(NamedTuple):
    profile: str
    user: str


def token_grant(
    profile: Profile, user: str, filtered: Filter, *, max_seconds: int | None = None
) -> dict[str, Any]:
    """Of a token: one call unless the profile says otherwise, its filter bound, labelled so that whoever
    finds the call knows whose it is. ``max_seconds``: what the user's budget leaves."""
    calls = {"max_calls": profile.max_calls}
    return {**call_grant(profile, user, filtered, max_seconds=max_seconds), **calls}


def call_grant(
    profile: Profile, user: str, filtered: Filter, *, max_seconds: int | None = None
) -> dict[str, Any]:
    """Of a call that is opened without a token, which counts no calls."""
    grant: dict[str, Any] = {**profile.grant, "label": label_of(profile.name, user)}
    if filtered != "off":
        grant["filter"] = filtered
    if max_seconds is not None:
        grant["max_seconds"] = max(1, min(max_seconds, int(grant.get("max_seconds") or max_seconds)))
    return grant


def label_of(profile: str, user: str) -> str:
    """At most 120 characters; a longer user's name is cut."""
    return f"{profile}:{user}"[:_MAX_LABEL]


def read_label(label: str | None) -> Labelled | None:
    """None: not of :func:`label_of`, so the token was not ours."""
    profile, colon, user = (label or "").partition(":")
    return Labelled(profile, user) if colon and user and NAME.fullmatch(profile) else None
