"""Bounds on pictures: what is sent back, and what one conversation holds."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from tests.scenarios.playbook import received
from vivavoz.session import inputs
from vivavoz.session.effects import Send
from vivavoz.session.ids import Ids
from vivavoz.session.images import MAX_CONVERSATION, MAX_SHOWN
from vivavoz.session.session import Session
from vivavoz.session.state import Settings
from vivavoz.wire.codec import encode
from vivavoz.wire.options import SessionOptions


def session() -> Session:
    session = Session(SessionOptions(), Ids(seed=b""), Settings(sees=True))
    session.step(0.0, inputs.Attached(sender="client", kind="websocket"))
    return session


def show(session: Session, length: int) -> list[Any]:
    """What follows from an item with a picture of so many bytes."""
    url = "data:image/jpeg;base64," + b64encode(b"\xff\xd8\xff" + bytes(length)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
    event = json.dumps({"type": "conversation.item.create", "item": item})
    done = session.step(0.0, received(event, "client"))
    return [json.loads(encode(effect.event)) for effect in done if isinstance(effect, Send)]


def test_a_large_picture_is_kept_and_not_sent_back() -> None:
    alive = session()
    (small, _), (large, _) = show(alive, 3), show(alive, MAX_SHOWN)
    assert "image_url" in small["item"]["content"][0]
    assert large["item"]["content"] == [{"type": "input_image"}]
    retrieve = {"type": "conversation.item.retrieve", "item_id": large["item"]["id"]}
    (effect,) = alive.step(0.0, received(json.dumps(retrieve), "client"))
    assert isinstance(effect, Send)
    assert len(encode(effect.event)) < 1_000
    assert len(alive.dump()) > MAX_SHOWN


def test_a_conversation_holds_so_many_and_no_more() -> None:
    alive = session()
    each = MAX_CONVERSATION // 4
    for _ in range(2):
        assert show(alive, each)[0]["type"] == "conversation.item.added"
    (refused,) = show(alive, 2 * each)
    assert refused["error"]["code"] == "item_create_too_many_images"
