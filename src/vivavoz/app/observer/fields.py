"""Reading members of events that anybody may have written: the wrong type reads as an absent member."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_ID = 512
"""Characters of an id; longer ones are not ids of the protocol."""
MAX_NUMBER = 1 << 53
"""Above it a number is not exact in JSON's most frequent readers, and means nothing here."""

_NOTHING: Mapping[str, Any] = {}


def text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""


def identifier(event: Mapping[str, Any], name: str) -> str | None:
    """An id or a short name; None where there is none that is usable."""
    value = event.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID else None


def number(event: Mapping[str, Any], name: str) -> float:
    """At least 0; 0 where there is none."""
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return value if math.isfinite(value) and 0 <= value <= MAX_NUMBER else 0


def integer(event: Mapping[str, Any], name: str) -> int:
    return int(number(event, name))


def measured(event: Mapping[str, Any], name: str) -> float | None:
    """A measurement, None where it was not taken."""
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if 0 <= value <= MAX_NUMBER else None


def members(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object's members; none where it is not an object."""
    value = event.get(name)
    return value if isinstance(value, dict) else _NOTHING


def objects(event: Mapping[str, Any], name: str, limit: int) -> list[Mapping[str, Any]]:
    """The objects of a list, at most ``limit``."""
    value = event.get(name)
    return [each for each in value[:limit] if isinstance(each, dict)] if isinstance(value, list) else []
