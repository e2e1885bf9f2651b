"""What schemathesis does not know by itself: how an SDP offer is written."""

from __future__ import annotations

from schemathesis import SerializationContext, serializer


@serializer("application/sdp")
def sdp(context: SerializationContext, value: object) -> bytes:
    """Text as it stands; what is none, as its text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
