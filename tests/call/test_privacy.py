"""Private items: the model reads them, observers see them, and the call's own client never learns of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.call.test_call import play, text_turn
from tests.call.transports import FakeTransport
from vivavoz.call.call import Call
from vivavoz.call.registry import CallRegistry
from vivavoz.engines.ports import TextDelta
from vivavoz.engines.scripted import ScriptedEngines
from vivavoz.media.ports import Played
from vivavoz.transports.webrtc import WebRtcTransport
from vivavoz.wire.extensions import Observing

SECRET = "the vault is under the oak"


def secret_item(item_id: str = "hidden", **members: Any) -> dict[str, Any]:
    part = {"type": "input_text", "text": SECRET}
    return {"type": "message", "role": "system", "id": item_id, "content": [part], "private": True, **members}


async def settled() -> None:
    await asyncio.sleep(0.3)


def opened(calls: CallRegistry, kind: Any = "websocket") -> tuple[Call, FakeTransport, FakeTransport]:
    call = calls.open(None, "gpt-realtime")
    client = FakeTransport(kind).join(call)
    return call, client, FakeTransport("sideband").join(call, Observing(role="control"))


@pytest.mark.parametrize("kind", ["websocket", "webrtc"])
def test_the_client_is_told_nothing_of_it(kind: str) -> None:
    async def scene(calls: CallRegistry) -> None:
        _, client, observer = opened(calls, kind)
        observer.say("conversation.item.create", item=secret_item())
        observer.say("conversation.item.retrieve", item_id="hidden")
        text_turn(client, "hello")
        await client.until("response.done")
        observer.say("conversation.item.delete", item_id="hidden")
        await observer.until("conversation.item.deleted")
        await settled()
        assert SECRET not in json.dumps(client.events)
        assert "hidden" not in json.dumps(client.events)
        assert (await observer.until("conversation.item.added"))["item"]["private"] is True
        assert SECRET in json.dumps(await observer.until("conversation.item.retrieved"))
        assert (await client.until("conversation.item.added"))["previous_item_id"] is None

    play(scene)


def test_the_model_reads_it() -> None:
    read: list[Any] = []

    class Engines(ScriptedEngines):
        def for_call(self):  # type: ignore[no-untyped-def]
            view = super().for_call()
            view.llm = Reader()
            return view

    class Reader:
        async def reply(self, items, options):  # type: ignore[no-untyped-def]
            read.extend(items)
            yield TextDelta(text="Yes.")

    async def scene(calls: CallRegistry) -> None:
        _, client, observer = opened(calls)
        observer.say("conversation.item.create", item=secret_item())
        text_turn(client, "hello")
        await client.until("response.done")
        assert any(SECRET in repr(item) for item in read)

    play(scene, engines=Engines())


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "conversation.item.retrieve", "item_id": "ID"},
        {"type": "conversation.item.delete", "item_id": "ID"},
        {"type": "conversation.item.truncate", "item_id": "ID", "content_index": 0, "audio_end_ms": 0},
        {
            "type": "conversation.item.create",
            "previous_item_id": "ID",
            "item": {"type": "message", "role": "user", "content": []},
        },
        {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "ID"}]}},
    ],
    ids=lambda request: request["type"],
)
def test_to_the_client_it_does_not_exist(request_: dict[str, Any]) -> None:
    """The error is the session's own, to the letter."""

    async def scene(calls: CallRegistry) -> None:
        _, client, observer = opened(calls)
        observer.say("conversation.item.create", item=secret_item())
        await observer.until("conversation.item.done")
        for item_id in ("hidden", "absent"):
            message = json.loads(json.dumps({**request_, "event_id": "e"}).replace("ID", item_id))
            client.attachment.received(json.dumps(message))  # type: ignore[union-attr]
        await client.until("error", 2)
        hidden, absent = [event["error"] for event in client.events if event["type"] == "error"]
        assert json.loads(json.dumps(hidden).replace("hidden", "absent")) == absent
        observer.say("conversation.item.retrieve", item_id="hidden")
        await observer.until("conversation.item.retrieved")

    play(scene)


def test_only_observers_hide_and_only_items_of_the_conversation() -> None:
    async def scene(calls: CallRegistry) -> None:
        call, client, observer = opened(calls)
        imitating = FakeTransport("sideband").join(call, Observing(hides=False))
        for sender in (client, imitating):
            sender.say("conversation.item.create", event_id="e", item=secret_item())
            error = (await sender.until("error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == (
                "unknown_parameter",
                "item.private",
                "e",
            )
        output = {"type": "function_call_output", "call_id": "c", "output": "o", "private": True}
        observer.say("response.create", response={"conversation": "none", "input": [output]})
        # The first that it saw was the client's.
        error = (await observer.until("error", 2))["error"]
        assert error["param"] == "response.input[0].private"

    play(scene)


# ------------------------------------------------------------------------------------- the property


class Wire:
    """A media call that keeps the bytes for the browser's data channel."""

    queued_ms = 0

    def __init__(self) -> None:
        self.sent: list[str] = []

    def accept(self, offer: str, sink: Any) -> tuple[str, Wire]:
        self.sink = sink
        return "answer", self

    def send_event(self, text: str) -> bool:
        self.sent.append(text)
        return True

    def write(self, pcm: bytes, tag: str) -> None: ...

    def end(self, tag: str) -> None: ...

    def flush(self) -> list[Played]:
        return []

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def monitor(self, heard: Any) -> None: ...

    def close(self, reason: str) -> None: ...


class Fixed(ScriptedEngines):
    """Its model says the same whatever it reads, so what is private comes out nowhere by itself."""

    def for_call(self):  # type: ignore[no-untyped-def]
        view = super().for_call()
        view.llm = self
        return view

    async def reply(self, items, options):  # type: ignore[no-untyped-def]
        yield TextDelta(text="Of course.")


IDS = st.sampled_from(["p1", "p2", "p3", "q1"])


def _item(kind: str, item_id: str) -> dict[str, Any]:
    match kind:
        case "function_call":
            return {"type": kind, "id": item_id, "name": SECRET, "arguments": SECRET, "call_id": "c"}
        case "function_call_output":
            return {"type": kind, "id": item_id, "call_id": "c", "output": SECRET}
    part = {"type": "output_text" if kind == "assistant" else "input_text", "text": SECRET}
    return {"type": "message", "role": kind, "id": item_id, "content": [part]}


@st.composite
def events(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """(sender, event); every item of the observer's holds the secret: it is private, or of a kind that
    strict leaves out."""
    sender = draw(st.sampled_from(["client", "observer", "observer"]))
    before = draw(st.one_of(st.none(), IDS))
    match draw(st.sampled_from(["create", "retrieve", "delete", "truncate", "respond"])):
        case "create" if sender == "observer":
            kind = draw(
                st.sampled_from(["system", "user", "assistant", "function_call", "function_call_output"])
            )
            item = _item(kind, draw(IDS))
            if kind in ("user", "assistant") or draw(st.booleans()):
                item["private"] = True
            return sender, {"type": "conversation.item.create", "item": item, "previous_item_id": before}
        case "create":
            part = {"type": "input_text", "text": "hello"}
            item = {"type": "message", "role": "user", "id": draw(IDS), "content": [part]}
            return sender, {"type": "conversation.item.create", "item": item, "previous_item_id": before}
        case "respond":
            return sender, {"type": "response.create"}
        case "truncate":
            place = {"item_id": draw(IDS), "content_index": 0, "audio_end_ms": 0}
            return sender, {"type": "conversation.item.truncate", **place}
        case asked:
            return sender, {"type": f"conversation.item.{asked}", "item_id": draw(IDS)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events(), max_size=25), st.sampled_from(["on", "strict", "off"]))
def test_no_byte_of_what_is_private_reaches_the_browser(
    story: list[tuple[str, dict[str, Any]]], level: Any
) -> None:
    wire = Wire()

    async def scene(calls: CallRegistry) -> None:
        call = calls.open(None, "gpt-realtime")
        WebRtcTransport.accept(wire, "offer", call, filter=level)  # type: ignore[arg-type]
        wire.sink.on_state("connected", "")
        observer = FakeTransport("sideband").join(call, Observing(after="start"))
        for sender, event in story:
            if level != "strict" and sender == "observer" and "item" in event:
                event = {**event, "item": {**event["item"], "private": True}}
            if sender == "client":
                wire.sink.on_event(json.dumps(event))
            else:
                observer.attachment.received(json.dumps(event))  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

    play(scene, engines=Fixed())
    assert SECRET not in "".join(wire.sent)
