"""What a grant lets the media client do in a call, and what it does not touch."""

from __future__ import annotations

import asyncio

from tests.call.test_call import play, text_turn
from tests.call.transports import FakeTransport
from vivavoz.call.registry import CallRegistry
from vivavoz.wire.grants import Grant


def test_only_granted_events_are_taken_from_the_client() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open(
            None, "gpt-realtime", grant=Grant(client_events=("conversation.item.create", "response.create"))
        )
        client = FakeTransport().join(call)
        observer = FakeTransport("sideband").join(call)
        client.say("session.update", event_id="mine", session={"type": "realtime", "instructions": "x"})
        error = (await client.until("error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == ("event_not_granted", "type", "mine")
        assert "session.update" in error["message"]
        text_turn(client, "hello")
        await client.until("response.done")
        observer.say("session.update", session={"type": "realtime", "instructions": "steered"})
        updated = await client.until("session.updated")
        assert updated["session"]["instructions"] == "steered"

    play(scene)


def test_tools_are_granted_by_name() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime", grant=Grant(tools=("time",))))
        wrong = [{"type": "function", "name": "time"}, {"type": "function", "name": "shell"}]
        client.say("session.update", session={"type": "realtime", "tools": wrong})
        client.say("response.create", event_id="e", response={"tools": wrong})
        client.say("session.update", session={"type": "realtime", "tools": wrong[:1]})
        first = (await client.until("error"))["error"]
        second = (await client.until("error", 2))["error"]
        assert (first["code"], first["param"]) == ("tool_not_granted", "session.tools[1]")
        assert (second["param"], second["event_id"]) == ("response.tools[1]", "e")
        updated = await client.until("session.updated")
        assert [tool["name"] for tool in updated["session"]["tools"]] == ["time"]

    play(scene)


def test_its_time_is_up() -> None:
    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime", grant=Grant(max_seconds=30))
        client = FakeTransport().join(call)
        began = asyncio.get_running_loop().time()
        await call.closed.wait()
        assert abs(asyncio.get_running_loop().time() - began - 30) < 0.5
        assert client.closed == (1001, "Your session hit the maximum duration of 0.5 minutes.")

    play(scene)


def test_a_grant_makes_no_call_longer() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime", grant=Grant(max_seconds=86_400)))
        await calls.get(client.attachment.call_id).closed.wait()  # type: ignore[union-attr]
        assert client.closed == (1001, "Your session hit the maximum duration of 60 minutes.")

    play(scene)


def test_the_list_names_calls_that_have_a_client() -> None:
    async def scene(calls: CallRegistry) -> None:
        version = calls.version
        call = calls.open(None, "gpt-realtime", grant=Grant(label="shop"))
        assert (calls.entries(), calls.version) == ([], version)
        FakeTransport("webrtc").join(call)
        (entry,) = calls.entries()
        assert (entry.id, entry.transport, entry.grant_label) == (call.id, "webrtc", "shop")
        joined = calls.version
        assert joined != version
        await calls.other_than(version)
        async with asyncio.timeout(60):
            async with asyncio.TaskGroup() as group:
                group.create_task(calls.other_than(joined))
                call.hangup("over")
        assert calls.entries() == []

    play(scene)
