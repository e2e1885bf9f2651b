"""What a mistake costs: as little as an event, for a client can make thousands a second."""

from __future__ import annotations

import msgspec
import pytest

from vivavoz.wire.codec import decode_client_event
from vivavoz.wire.errors import ProtocolError


def refused(text: str) -> ProtocolError:
    with pytest.raises(ProtocolError) as refusal:
        decode_client_event(text)
    return refusal.value


def test_the_types_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = refused('{"type": "nope"}')
    assert "Supported values are: 'conversation.item.create'" in first.message
    monkeypatch.delattr(msgspec.inspect, "type_info")
    assert refused('{"type": "nope"}').message == first.message
