"""What operators see of calls and do to them, over HTTP and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.app.observer.calls import info
from tests.app.observer.service import HOSTED, OURS, Call
from tests.app.observer.test_observing import ITEM, SAID, World, attached, started, world
from tests.waiting import until
from vivavoz.app import bodies
from vivavoz.app.errors import AppError, json_errors
from vivavoz.app.observer import routes as module
from vivavoz.app.observer.observers import Observers
from vivavoz.app.observer.ports import CallInfo
from vivavoz.app.observer.routes import Routes
from vivavoz.app.upstream.port import Abilities

GREETING = {"type": "response.create", "response": {"instructions": "Greet."}}


class User(msgspec.Struct):
    name: str = "olga"
    operator: bool = True


class Users:
    def identify(self, request: web.Request) -> User:
        if request.headers.get("Authorization") == "Bearer caller":
            return User("carl", operator=False)
        return self.operator(request)

    def operator(self, request: web.Request) -> User:
        if request.headers.get("Authorization") != "Bearer key":
            raise AppError(401, "This needs the key.", "key_required")
        return User()


class Desk:
    """An operator before a running application; one call is live."""

    def __init__(self, told: World, observers: Observers, http: TestClient[Any, Any], call: Call) -> None:
        self.told = told
        self.observers = observers
        self.http = http
        self.call = call

    async def get(self, path: str, status: int = 200) -> Any:
        async with self.http.get(path) as answer:
            assert answer.status == status
            return await answer.json()

    async def post(self, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        async with self.http.post(path, data=raw or msgspec.json.encode(body)) as answer:
            return answer.status, await answer.json() if answer.content_length else None


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    abilities: Abilities = getattr(request, "param", OURS)

    def adopting(call_id: str, profile: str | None, user: str) -> CallInfo:
        if profile not in (None, "default"):
            raise AppError(404, "There is no such profile.", "profile_not_found", "profile")
        return info(call_id, user=user, origin="adopted")

    async with world(abilities) as told, told.running() as observers:
        app = web.Application(middlewares=[json_errors])
        app.add_routes(Routes(observers, Users(), adopting).routes())
        client = TestClient(TestServer(app), headers={"Authorization": "Bearer key"})
        async with client:
            call = told.service.call()
            await attached(started(observers))
            yield Desk(told, observers, client, call)


@contextlib.asynccontextmanager
async def watching(desk: Desk, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with desk.http.ws_connect(path, protocols=("vivavoz",)) as socket:
        assert socket.protocol == "vivavoz"
        yield socket


async def next_of(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            frame = await socket.receive_json()
            if frame["kind"] == kind:
                return frame


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/calls"),
        ("POST", "/api/calls"),
        ("GET", "/api/calls/rtc_1"),
        ("POST", "/api/calls/rtc_1/events"),
        ("POST", "/api/calls/rtc_1/hangup"),
        ("GET", "/api/calls/rtc_1/log"),
        ("GET", "/api/calls/rtc_1/watch"),
        ("GET", "/api/watch"),
    ],
)
async def test_only_operators_may(desk: Desk, method: str, path: str) -> None:
    async with desk.http.request(method, path, headers={"Authorization": "Bearer other"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "key_required"


async def test_calls_are_listed_and_told(desk: Desk) -> None:
    await desk.call.tell(ITEM, SAID)
    await until(lambda: desk.observers.get("rtc_1").state.last_words == "Hello")
    (row,) = (await desk.get("/api/calls"))["calls"]
    assert row == {
        "id": "rtc_1",
        "profile": "default",
        "user": "ana",
        "origin": "connect",
        "upstream": "vivavoz",
        "status": "live",
        "observer": "attached",
        "started_at": row["started_at"],
        "ended_at": None,
        "filtered": "on",
        "turns": 0,
        "last_words": "Hello",
        "recorded": True,
    }
    call = await desk.get("/api/calls/rtc_1")
    assert row.items() <= call.items()
    assert [line["text"] for line in call["transcript"]] == ["Hello"]
    assert (await desk.get("/api/calls/rtc_2", 404))["error"]["param"] == "call_id"


async def test_the_log_is_read_page_by_page(desk: Desk) -> None:
    await desk.call.tell(ITEM, SAID, {"type": "vivavoz.participant.left", "kind": "webrtc"})
    await until(lambda: desk.observers.get("rtc_1").log.count == 3)
    entries = (await desk.get("/api/calls/rtc_1/log"))["entries"]
    # The filter passes items and words on, and never what is told to observers only.
    assert [(entry["n"], entry["sender"], entry["seen"]) for entry in entries] == [
        (1, "server", True),
        (2, "server", True),
        (3, "server", False),
    ]
    assert entries[1]["event"]["delta"] == "Hello"
    assert [entry["n"] for entry in (await desk.get("/api/calls/rtc_1/log?after=2"))["entries"]] == [3]
    assert (await desk.get("/api/calls/rtc_1/log?after=x", 400))["error"]["param"] == "after"


async def test_an_event_goes_out_and_into_the_log(desk: Desk) -> None:
    status, answer = await desk.post("/api/calls/rtc_1/events", GREETING)
    assert status == 202
    await until(lambda: desk.call.got)
    assert desk.call.got == [{**GREETING, "event_id": answer["event_id"]}]
    (entry,) = (await desk.get("/api/calls/rtc_1/log"))["entries"]
    assert (entry["sender"], entry["seen"], entry["event"]["type"]) == ("console", False, "response.create")
    assert desk.told.heard.types("console") == ["response.create"]


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (
            b'{"type":"response.create","response":{"instructions":5}}',
            "invalid_type",
            "response.instructions",
        ),
        (b'{"type":"response.make"}', "invalid_value", "type"),
        (b'{"type":"session.update"}', "missing_required_parameter", "session"),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_type", None),
    ],
)
async def test_a_wrong_event_is_refused_by_name(desk: Desk, raw: bytes, code: str, param: str | None) -> None:
    status, answer = await desk.post("/api/calls/rtc_1/events", raw=raw)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param)
    assert desk.call.got == []


async def test_what_cannot_go_out_is_refused(desk: Desk) -> None:
    desk.told.service.refusal = None
    desk.told.service.vanish(desk.call)
    desk.told.service.cut(desk.call)
    await until(lambda: not desk.observers.get("rtc_1").live)
    status, answer = await desk.post("/api/calls/rtc_1/events", GREETING)
    assert (status, answer["error"]["code"]) == (409, "call_ended")


async def test_a_call_is_hung_up(desk: Desk) -> None:
    assert await desk.post("/api/calls/rtc_1/hangup") == (204, None)
    await until(lambda: not desk.observers.get("rtc_1").live)
    assert await desk.post("/api/calls/rtc_1/hangup") == (204, None)


async def test_a_call_is_adopted(desk: Desk) -> None:
    desk.told.service.call("rtc_5")
    status, answer = await desk.post("/api/calls", {"call_id": "rtc_5"})
    assert (status, answer["origin"], answer["user"]) == (201, "adopted", "olga")
    for body, status, code in (
        ({"call_id": "rtc_6"}, 404, "call_id_not_found"),
        ({"call_id": "rtc_6", "profile": "none"}, 404, "profile_not_found"),
        ({"call": "rtc_6"}, 400, "invalid_value"),
        ("rtc_6", 400, "invalid_value"),
    ):
        assert (await desk.post("/api/calls", body))[0] == status
        assert (await desk.post("/api/calls", body))[1]["error"]["code"] == code


async def test_where_the_service_says_whose_calls_are_whose_no_caller_does(desk: Desk) -> None:
    """Else a caller would have its call observed, recorded and counted as it likes."""
    desk.told.service.call("rtc_7")
    headers = {"Authorization": "Bearer caller"}
    async with desk.http.post("/api/calls", json={"call_id": "rtc_7"}, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "call_id_not_found")
    body = {"call_id": desk.call.id}
    async with desk.http.post("/api/calls", json=body, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (201, {"id": desk.call.id})
    assert desk.observers.get(desk.call.id).state.user != "carl"


@pytest.mark.parametrize("path", ["/api/calls", "/api/calls/rtc_1/events"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    path: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with asyncio.timeout(60), desk.http.post(path, data=slow()) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (408, "request_timeout")


async def test_a_body_that_is_not_what_it_says_is_refused(desk: Desk) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with desk.http.post("/api/calls", data=b'{"call_id": "rtc_1"}', headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "invalid_body")


@pytest.mark.parametrize("desk", [HOSTED], indirect=True)
async def test_a_caller_names_its_own_call_and_is_told_nothing_of_it(desk: Desk) -> None:
    desk.told.service.call("rtc_7")
    headers = {"Authorization": "Bearer caller"}
    async with desk.http.post("/api/calls", json={"call_id": "rtc_7"}, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (201, {"id": "rtc_7"})
    assert desk.observers.get("rtc_7").state.user == "carl"
    async with desk.http.get("/api/calls/rtc_7", headers=headers) as answer:
        assert answer.status == 401


async def test_only_so_many_calls_are_looked_for_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ADOPTING", 0)
    status, answer = await desk.post("/api/calls", {"call_id": "rtc_1"})
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_a_watcher_sees_what_was_what_is_and_the_end(desk: Desk) -> None:
    await desk.call.tell(ITEM)
    await until(lambda: desk.observers.get("rtc_1").log.count == 1)
    async with watching(desk, "/api/calls/rtc_1/watch") as socket:
        first = await socket.receive_json()
        assert (first["kind"], first["call"]["id"], len(first["entries"])) == ("snapshot", "rtc_1", 1)
        await desk.call.tell(SAID)
        assert (await next_of(socket, "event"))["entry"]["n"] == 2
        assert (await next_of(socket, "state"))["call"]["last_words"] == "Hello"
        await desk.told.service.end(desk.call)
        last = await next_of(socket, "state")
        while last["call"]["status"] == "live":
            last = await next_of(socket, "state")
        assert await next_of(socket, "ended") == {"kind": "ended", "reason": "ended"}
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_call_with_much_in_it_can_be_looked_at(desk: Desk) -> None:
    observer = desk.observers.get("rtc_1")
    for n in range(300):
        part = {"type": "input_text", "text": "word " * 4000}
        item = {"id": f"item_{n}", "type": "message", "role": "user", "content": [part]}
        await desk.call.tell({**ITEM, "item": item})
    await until(lambda: len(observer.state.transcript) == 300)
    async with desk.http.ws_connect("/api/calls/rtc_1/watch", max_msg_size=2**26) as socket:
        first = await socket.receive_json()
        assert len(first["call"]["transcript"]) == 300
        await desk.call.tell(SAID)
        assert (await next_of(socket, "event"))["entry"]["event"]["delta"] == "Hello"


async def test_a_call_that_is_over_can_be_looked_at(desk: Desk) -> None:
    await desk.told.service.end(desk.call)
    await until(lambda: not desk.observers.get("rtc_1").live)
    async with watching(desk, "/api/calls/rtc_1/watch") as socket:
        assert (await socket.receive_json())["call"]["status"] == "ended"
        assert (await socket.receive_json())["kind"] == "ended"


@pytest.mark.parametrize(
    ("role", "may"),
    [("listen", []), ("coach", ["response.create"]), ("control", ["response.create", "session.update"])],
)
async def test_a_watcher_may_do_what_its_role_allows(desk: Desk, role: str, may: list[str]) -> None:
    update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    async with watching(desk, f"/api/calls/rtc_1/watch?role={role}") as socket:
        for event in (GREETING, update):
            await socket.send_json({"event": event})
            if event["type"] not in may:
                assert (await next_of(socket, "refused"))["error"]["code"] == "role_may_not"
        await until(lambda: len(desk.call.got) == len(may))
    assert [event["type"] for event in desk.call.got] == may


async def test_a_wrong_frame_is_refused_and_the_watcher_stays(desk: Desk) -> None:
    async with watching(desk, "/api/calls/rtc_1/watch?role=control") as socket:
        for frame, param in (("{", "event"), ('{"events":{}}', "event"), ('{"event":{"type":"x"}}', "type")):
            await socket.send_str(frame)
            assert (await next_of(socket, "refused"))["error"]["param"] == param
        await socket.send_json({"event": GREETING})
        await until(lambda: desk.call.got)


async def test_an_unknown_role_is_refused(desk: Desk) -> None:
    assert (await desk.get("/api/calls/rtc_1/watch?role=boss", 400))["error"]["param"] == "role"


async def test_all_calls_are_watched(desk: Desk) -> None:
    async with watching(desk, "/api/watch") as socket:
        first = await socket.receive_json()
        assert (first["kind"], [call["id"] for call in first["calls"]]) == ("calls", ["rtc_1"])
        desk.told.service.call("rtc_2")
        started(desk.observers, "rtc_2")
        more = await next_of(socket, "calls")
        assert [call["id"] for call in more["calls"]] == ["rtc_2", "rtc_1"]
        await socket.send_json({"event": GREETING})
        assert (await next_of(socket, "refused"))["error"]["code"] == "role_may_not"


async def test_states_come_at_most_every_so_often(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATE_PAUSE_S", 60)
    async with watching(desk, "/api/calls/rtc_1/watch") as socket:
        await socket.receive_json()
        await desk.call.tell(ITEM)
        await next_of(socket, "state")
        for _ in range(50):
            await desk.call.tell(SAID)
        kinds = [(await socket.receive_json())["kind"] for _ in range(50)]
        assert kinds == ["event"] * 50


async def test_a_slow_watcher_is_dropped_and_slows_nobody(desk: Desk) -> None:
    observer = desk.observers.get("rtc_1")
    async with (
        watching(desk, "/api/calls/rtc_1/watch") as socket,
        watching(desk, "/api/calls/rtc_1/watch") as other,
    ):
        # Nothing of it is read any more: what it does not take fills the buffers of both sides.
        assert socket._conn is not None
        assert socket._conn.protocol is not None
        socket._conn.protocol.pause_reading()
        reading = asyncio.ensure_future(_read(other))
        await until(lambda: len(observer.watches) == 2)
        began = time.monotonic()
        while len(observer.watches) == 2:
            await desk.call.tell(*[{"type": "x.large", "text": "x" * 50_000} for _ in range(20)])
            assert time.monotonic() - began < 30
        count = observer.log.count
        await desk.call.tell(SAID)
        await until(lambda: observer.log.count > count)
        reading.cancel()
        assert observer.state.observer == "attached"


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    while not socket.closed:
        await socket.receive()
