"""What a sideband may ask for in its URL, and what it is sent over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.server.fakes import KEY, OFFER, Running, an_event, running
from vivavoz.config import Config, Limits, Server
from vivavoz.wire.extensions import Observing

AUTH = {"Authorization": f"Bearer {KEY}"}


async def sideband(server: Running, query: str = "", **headers: str) -> Any:
    offer = {**AUTH, "Content-Type": "application/sdp"}
    async with server.http.post(server.url + "/v1/realtime/calls", data=OFFER, headers=offer) as answer:
        assert answer.status == 201
    call = server.calls.opened[-1]
    url = f"{server.url}/v1/realtime?call_id={call.id}{query}"
    return await server.http.ws_connect(url, headers={**AUTH, **headers})


@pytest.mark.parametrize(
    ("query", "observing"),
    [
        ("", Observing()),
        ("&after=start", Observing(after="start")),
        ("&role=listen&audio=both", Observing(role="listen", tracks=("caller", "assistant"))),
        ("&role=coach&audio=input", Observing(role="coach", tracks=("caller",))),
        ("&audio=output&after=event_1", Observing(tracks=("assistant",), after="event_1")),
        ("&extras=timings,participants,timings", Observing(extras=("timings", "participants"))),
        ("&extras=&unknown=1", Observing()),
    ],
)
async def test_what_can_be_asked_for(query: str, observing: Observing) -> None:
    async with running() as server, await sideband(server, query):
        assert server.calls.opened[-1].observing == observing


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("&role=boss", "role"),
        ("&role=", "role"),
        ("&audio=yes", "audio"),
        ("&extras=timings,all", "extras"),
        ("&after=", "after"),
        ("&after=" + "x" * 129, "after"),
    ],
)
async def test_what_is_not_known_is_refused_by_name(query: str, param: str) -> None:
    async with running() as server:
        call_id = "rtc_00" + "0" * 30
        url = f"{server.url}/v1/realtime?call_id={call_id}{query}"
        async with server.http.get(url, headers=AUTH) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"], error["param"]) == (400, "invalid_value", param)


async def test_where_azure_is_imitated_they_mean_nothing() -> None:
    strict = Config(default_engines="scripted", models={"d": {}}, server=Server(strict_azure=True))  # type: ignore[dict-item]
    async with running(strict) as server:
        call = server.calls.open(None, "d")
        url = f"{server.url}/openai/v1/realtime?call_id={call.id}&role=boss&audio=both"
        async with server.http.ws_connect(url, headers={"api-key": KEY}):
            assert call.observing == Observing(hides=False)


async def test_a_slow_observer_is_sent_no_sound_but_every_event() -> None:
    limits = Limits(outbox_bytes=400_000)
    config = Config(default_engines="scripted", limits=limits)
    async with running(config) as server, await sideband(server) as observer:
        transport = server.calls.opened[-1].attachments[-1].transport
        taken = [transport.sound(bytes([1]) * 20_000) for _ in range(20)]
        assert taken[0]
        assert not taken[-1]
        assert transport.hears is False
        sent = sum(taken)
        transport.send(an_event("still told"))
        got = [await observer.receive() for _ in range(sent + 1)]
        assert [message.type for message in got[:-1]] == [aiohttp.WSMsgType.BINARY] * sent
        assert "still told" in got[-1].data
        assert transport.hears is True


async def test_a_replay_in_the_observers_own_dialect() -> None:
    async with running() as server, await sideband(server, **{"OpenAI-Beta": "realtime=v1"}) as observer:
        transport = server.calls.opened[-1].attachments[-1].transport
        members = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        event = {"type": "response.output_text.delta", "event_id": "e", "delta": "x", **members}
        transport.again(json.dumps(event).encode())
        async with asyncio.timeout(60):
            assert (await observer.receive_json())["type"] == "response.text.delta"
