"""Byte ranges (RFC 9110, section 14): what a player asks for when somebody clicks into the middle."""

from __future__ import annotations

import re
from typing import NamedTuple

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.I)


class Span(NamedTuple):
    """``first`` and ``last`` are inclusive, as in ``Content-Range``."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class Unsatisfiable(Exception):
    """The range begins behind the end: 416."""


def span(header: str | None, size: int) -> Span | None:
    """None: the whole (no range, several, or none that makes sense, which the RFC says to ignore)."""
    found = _RANGE.fullmatch(header) if header else None
    if found is None or found.groups() == ("", "") or len(found[1]) + len(found[2]) > 36:
        return None
    if not found[1]:
        tail = min(int(found[2]), size)
        if tail == 0:
            raise Unsatisfiable
        return Span(size - tail, size - 1)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Span(first, last)
