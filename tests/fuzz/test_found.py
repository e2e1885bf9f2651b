"""What the fuzzer has found and nobody has mended yet; to be moved to the scenarios with its cure."""

from __future__ import annotations

import json

import pytest

from tests.properties.world import RESPOND, World
from tests.scenarios.playbook import received


@pytest.mark.xfail(strict=True, reason="an id may be used again while its deleted item is still being made")
def test_an_id_is_not_free_while_its_item_is_in_progress() -> None:
    world = World(
        ("cascade", False, "webrtc", {"type": "server_vad"}, True, "audio", [RESPOND, ("reply", 1)])
    )
    (item,) = world.watch.items
    again = {"type": "message", "id": item, "role": "user", "content": []}
    for event in (
        {"type": "conversation.item.delete", "item_id": item},
        {"type": "conversation.item.create", "item": again},
    ):
        world.give(received(json.dumps(event), "client"))
