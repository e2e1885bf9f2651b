"""A connection's dialect: at the door of a WebSocket and of a WebRTC peer, both ways."""

from __future__ import annotations

import json
from typing import Any

from tests.transports.test_websocket import Recorder, joined
from tests.waiting import until
from vivavoz.media.ports import Played
from vivavoz.transports.dialect import GA, Beta, Ga, deliver
from vivavoz.transports.webrtc import WebRtcTransport
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.items import FunctionCallOutput
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import session_object
from vivavoz.wire.server_events import (
    ConversationItemDeleted,
    ConversationItemDone,
    OutputAudioDelta,
    OutputTextDelta,
    ServerEvent,
    SessionCreated,
)

IDS: dict[str, Any] = {
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
}
DELTA = OutputTextDelta(**IDS, delta="Hi")
DONE = ConversationItemDone(
    event_id="event_1", previous_item_id=None, item=FunctionCallOutput(call_id="c", output="")
)
CREATED = SessionCreated(
    event_id="event_1", session=session_object(effective_session(None, "m"), "sess_1", 1)
)
UPDATE = '{"type":"session.update","session":{"voice":"ash"}}'
GA_UPDATE = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": "ash"}}}}
WRONG = '{"type":"session.update","event_id":"mine","session":{"type":"realtime"}}'


class Attached(Recorder):
    """Also remembers refusals."""

    def refused(self, error: ProtocolError) -> None:
        self.calls.append(error)


class Peer:
    """The media engine and the one call it makes."""

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.sent: list[Any] = []
        self.sound: list[bytes] = []
        self.closed: str | None = None
        self.attached = Attached()
        self.sink: Any = None

    def accept(self, offer: str, sink: Any) -> tuple[str, Peer]:
        self.sink = sink
        return "answer", self

    def attach(self, transport: Any) -> Attached:
        return self.attached

    queued_ms = 0

    def send_event(self, text: str) -> bool:
        self.sent.append(json.loads(text))
        return not self.full

    def write(self, pcm: bytes, tag: str) -> None:
        self.sound.append(pcm)

    def end(self, tag: str) -> None: ...

    def flush(self) -> list[Played]:
        return []

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def close(self, reason: str) -> None:
        self.closed = reason


def peer(*, filtered: Any = "off", full: bool = False, dialect: Any = GA) -> Peer:
    made = Peer(full)
    WebRtcTransport.accept(made, "offer", made, filter=filtered, dialect=dialect)  # type: ignore[arg-type]
    return made


def types(messages: Any) -> list[str]:
    return [json.loads(message)["type"] for message in messages]


# ------------------------------------------------------------------------------------- by itself


def test_ga_is_nothing_but_json() -> None:
    assert Ga().incoming(UPDATE) is UPDATE
    [message] = GA.outgoing(DELTA)
    assert json.loads(message)["type"] == "response.output_text.delta"
    assert types(GA.outgoing(CREATED)) == ["session.created"]


def test_beta_says_one_event_in_one_message_in_two_or_in_none() -> None:
    beta = Beta("conv_9")
    assert types(beta.outgoing(DELTA)) == ["response.text.delta"]
    assert beta.outgoing(DONE) == []
    created, conversation = beta.outgoing(CREATED)
    assert json.loads(created)["session"]["modalities"] == ["audio", "text"]
    assert json.loads(conversation)["conversation"]["id"] == "conv_9"


def test_a_message_that_cannot_be_said_in_ga_is_a_refusal() -> None:
    attached = Attached()
    deliver(Beta("conv_1"), UPDATE, attached)
    deliver(Beta("conv_1"), WRONG, attached)
    deliver(GA, WRONG, attached)
    message, refusal, passed = attached.calls
    assert json.loads(message) == GA_UPDATE
    assert isinstance(refusal, ProtocolError)
    assert (refusal.param, refusal.event_id) == ("session.type", "mine")
    assert passed is WRONG


# ------------------------------------------------------------------------------------- WebSocket


async def test_a_websocket_speaks_it_both_ways() -> None:
    async with joined(dialect=Beta("conv_1")) as pair:
        pair.recorder.__class__ = Attached
        for event in (CREATED, DONE, DELTA):
            pair.transport.send(event)
        got = [(await pair.client.receive_json())["type"] for _ in range(3)]
        assert got == ["session.created", "conversation.created", "response.text.delta"]
        await pair.client.send_str(UPDATE)
        await pair.client.send_str(WRONG)
        await until(lambda: len(pair.recorder.calls) == 3)
        ready, message, refusal = pair.recorder.calls
        assert ready == "ready"
        assert json.loads(message) == GA_UPDATE
        assert refusal.code == "unknown_parameter"


async def test_a_full_outbox_closes_even_between_two_messages_of_one_event() -> None:
    async with joined(dialect=Beta("conv_1"), outbox_events=1) as pair:
        pair.transport.send(CREATED)
        assert (await pair.client.receive()).data == 1013


# ------------------------------------------------------------------------------------- WebRTC


def test_a_peer_speaks_it_both_ways() -> None:
    made = peer(dialect=Beta("conv_1"))
    transport = made.sink
    transport.on_event(UPDATE)
    transport.on_event(WRONG)
    assert made.attached.calls == []
    transport.on_state("connected", "")
    transport.on_event(UPDATE)
    ready, early, refusal, late = made.attached.calls
    assert ready == "ready"
    assert json.loads(early) == json.loads(late) == GA_UPDATE
    assert refusal.param == "session.type"
    for event in (CREATED, DONE, DELTA):
        transport.send(event)
    assert [message["type"] for message in made.sent] == [
        "session.created",
        "conversation.created",
        "response.text.delta",
    ]


def test_sound_is_played_whatever_the_dialect() -> None:
    made = peer(dialect=Beta("conv_1"))
    made.sink.send(OutputAudioDelta(**IDS, delta=b"\0\0"))
    assert (made.sound, made.sent) == ([b"\0\0"], [])


def test_the_filter_goes_by_ga_names() -> None:
    made = peer(filtered="on", dialect=Beta("conv_1"))
    deleted = ConversationItemDeleted(event_id="event_1", item_id="item_1")
    events: list[ServerEvent] = [CREATED, DONE, DELTA, deleted]
    for event in events:
        made.sink.send(event)
    assert [message["type"] for message in made.sent] == ["response.text.delta"]


def test_a_full_event_channel_ends_the_peer_once() -> None:
    made = peer(full=True, dialect=Beta("conv_1"))
    made.sink.send(CREATED)
    assert len(made.sent) == 1
    assert made.closed == "The event channel is full."
