"""What every wire type is made of: msgspec structs, and the difference between absent and null.

A member whose type has :data:`UNSET` may be absent; ``None`` is JSON's null. Clients tell the two apart
(some reject null where they accept absence), so the types here say which one is meant.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

__all__ = ["UNSET", "Closed", "ClosedFixed", "Data", "Fixed", "UnsetType", "is_set", "replace", "tag_of"]


class Data(msgspec.Struct, kw_only=True):
    """Base of what we send: unknown members do not arise."""


class Closed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of what clients send: an unknown member is refused by name, never ignored."""


class Fixed(msgspec.Struct, kw_only=True, frozen=True):
    """:class:`Data` that never changes once made."""


class ClosedFixed(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """:class:`Closed` that never changes once made."""


def tag_of(kind: type[msgspec.Struct]) -> str:
    """The ``type`` that a wire type has on the wire."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def is_set(value: object) -> bool:
    """Whether a member was present (null counts as present)."""
    return value is not UNSET
