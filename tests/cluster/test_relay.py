"""A sideband and a hangup that reach the wrong worker, end to end over the right one's unix socket."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.server.fakes import ANSWER, KEY, OFFER, FakeCall, FakeCalls, Running, running
from tests.waiting import until
from vivavoz.cluster.directory import Elsewhere, WorkerDirectory
from vivavoz.cluster.relay import RELAYED, relay_http
from vivavoz.config import Config, Limits

AUTH = {"Authorization": f"Bearer {KEY}"}


@contextlib.asynccontextmanager
async def two_workers(folder: Path, **options: Any) -> AsyncIterator[tuple[Running, Running]]:
    sockets = {tag: folder / f"{tag}.sock" for tag in ("00", "01")}
    async with (
        running(
            calls=FakeCalls("00"), directory=WorkerDirectory("00", sockets), socket=sockets["00"]
        ) as wrong,
        running(
            calls=FakeCalls("01"), directory=WorkerDirectory("01", sockets), socket=sockets["01"], **options
        ) as owner,
    ):
        yield wrong, owner


async def a_call(owner: Running) -> FakeCall:
    headers = {**AUTH, "Content-Type": "application/sdp"}
    async with owner.http.post(owner.url + "/v1/realtime/calls", data=OFFER, headers=headers) as answer:
        assert answer.status == 201
    return owner.calls.opened[-1]


async def test_a_hangup(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, owner):
        call = await a_call(owner)
        url = f"{wrong.url}/v1/realtime/calls/{call.id}/hangup"
        async with wrong.http.post(url, headers=AUTH) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        assert call.closed.is_set()
        async with wrong.http.post(url, headers=AUTH) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "call_id_not_found"
            assert len(answer.headers.getall("x-request-id")) == 1


async def test_a_sideband(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, owner):
        call = await a_call(owner)
        url = f"{wrong.url}/openai/v1/realtime?call_id={call.id}"
        protocols = ["realtime", f"openai-insecure-api-key.{KEY}"]
        async with wrong.http.ws_connect(url, protocols=protocols) as websocket:
            assert websocket.protocol == "realtime"
            for size in (1, 100_000):
                await websocket.send_str("x" * size)
                assert f"str:{size}" in await websocket.receive_str()
            await websocket.send_bytes(b"\x00")
            assert "bytes:1" in await websocket.receive_str()
            (attachment,) = call.attachments
            assert attachment.transport.kind == "sideband"
            call.hangup("over")
            closing = await websocket.receive()
            assert (closing.data, closing.extra) == (1000, "over")


async def test_a_close_code_travels_on(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, owner):
        call = await a_call(owner)
        url = f"{wrong.url}/v1/realtime?call_id={call.id}"
        async with wrong.http.ws_connect(url, headers=AUTH) as websocket:
            await websocket.send_str("stop")
            closing = await websocket.receive()
            assert closing.data == 1001
            assert "maximum duration" in (closing.extra or "")


async def test_the_client_leaves_and_the_owner_hears_of_it(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, owner):
        call = await a_call(owner)
        url = f"{wrong.url}/v1/realtime?call_id={call.id}"
        async with wrong.http.ws_connect(url, headers=AUTH) as websocket:
            await websocket.send_str("x")
            await websocket.receive_str()
        await until(lambda: call.attachments[0].was_lost is not None)
        assert not call.closed.is_set()


async def test_a_new_call_goes_where_the_placement_says(tmp_path: Path) -> None:
    class AtTheOther:
        async def place(self, model: str) -> Elsewhere:
            return Elsewhere(tmp_path / "01.sock")

    async with two_workers(tmp_path) as (wrong, owner):
        wrong.service.placement = AtTheOther()
        headers = {**AUTH, "Content-Type": "application/sdp"}
        url = wrong.url + "/v1/realtime/calls?webrtcfilter=on"
        async with wrong.http.post(url, data=OFFER, headers=headers) as answer:
            assert answer.status == 201
            assert answer.headers["Location"] == f"/v1/realtime/calls/{owner.calls.opened[0].id}"
            assert answer.headers.getall("Access-Control-Allow-Origin") == ["*"]
            assert await answer.text() == ANSWER
        assert owner.calls.opened[0].filtered == "on"
        assert not wrong.calls.opened


async def test_the_owners_refusal_is_the_answer(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, _):
        missing = "rtc_01" + "0" * 30
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await wrong.http.ws_connect(f"{wrong.url}/v1/realtime?call_id={missing}", headers=AUTH)
        assert raised.value.status == 404


async def test_the_owner_has_no_place_for_another_observer(tmp_path: Path) -> None:
    config = Config(default_engines="scripted", limits=Limits(sidebands=1))
    async with two_workers(tmp_path, config=config) as (wrong, owner):
        call = await a_call(owner)
        url = f"{wrong.url}/v1/realtime?call_id={call.id}"
        async with wrong.http.ws_connect(url, headers=AUTH):
            with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
                await wrong.http.ws_connect(url, headers=AUTH)
            assert raised.value.status == 429


async def test_being_relayed_gives_no_rights(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, owner):
        call = await a_call(owner)
        connector = aiohttp.UnixConnector(path=str(tmp_path / "01.sock"))
        async with aiohttp.ClientSession(connector=connector) as http:
            url = f"http://localhost/v1/realtime/calls/{call.id}/hangup"
            async with http.post(url, headers={RELAYED: "1"}) as answer:
                assert answer.status == 401
        async with wrong.http.post(f"{wrong.url}/v1/realtime/calls/{call.id}/hangup") as answer:
            assert answer.status == 401
        assert not call.closed.is_set()


async def test_nothing_is_relayed_twice(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (wrong, owner):
        call = await a_call(owner)
        url = f"{wrong.url}/v1/realtime/calls/{call.id}/hangup"
        async with wrong.http.post(url, headers={**AUTH, RELAYED: "1"}) as answer:
            assert answer.status == 404


async def test_an_owner_that_is_gone(tmp_path: Path) -> None:
    sockets = {tag: tmp_path / f"{tag}.sock" for tag in ("00", "01")}
    async with running(directory=WorkerDirectory("00", sockets)) as server:
        missing = "rtc_01" + "0" * 30
        async with server.http.post(
            f"{server.url}/v1/realtime/calls/{missing}/hangup", headers=AUTH
        ) as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "worker_unreachable"
            assert answer.headers["Retry-After"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await server.http.ws_connect(f"{server.url}/v1/realtime?call_id={missing}", headers=AUTH)
        assert raised.value.status == 503


async def test_a_deployment_without_a_key_guards_relayed_requests_too(tmp_path: Path) -> None:
    sockets = {tag: tmp_path / f"{tag}.sock" for tag in ("00", "01")}
    async with (
        running(directory=WorkerDirectory("00", sockets), keys=(), socket=sockets["00"]) as wrong,
        running(
            calls=FakeCalls("01"), directory=WorkerDirectory("01", sockets), keys=(), socket=sockets["01"]
        ) as owner,
    ):
        call = await a_call(owner)
        url = f"/v1/realtime?call_id={call.id}"
        async with wrong.http.ws_connect(
            wrong.url + url, headers={"Origin": "http://localhost:3000"}
        ) as socket:
            await socket.send_str("x")
            assert "str:1" in json.loads(await socket.receive_str())["error"]["message"]
        connector = aiohttp.UnixConnector(path=str(sockets["01"]))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get("http://evil.example/healthz") as answer,
        ):
            assert answer.status == 403


@contextlib.asynccontextmanager
async def in_front_of(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], folder: Path
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A process that relays everything to another one, which answers so."""
    behind, front = web.Application(), web.Application()
    behind.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(behind)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "behind.sock")).start()

    async def relay(request: web.Request) -> web.StreamResponse:
        return await relay_http(request, folder / "behind.sock", await request.read())

    front.router.add_route("*", "/{path:.*}", relay)
    try:
        async with TestClient(TestServer(front)) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_a_long_answer_comes_in_pieces_and_whole(tmp_path: Path) -> None:
    sound = bytes(range(256)) * 4096
    (tmp_path / "sound").write_bytes(sound)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(tmp_path / "sound")

    async with in_front_of(answer, tmp_path) as client:
        async with client.get("/sound") as got:
            assert got.headers["Content-Length"] == str(len(sound))
            assert await got.read() == sound
        async with client.get("/sound", headers={"Range": "bytes=100000-299999"}) as got:
            assert got.status == 206
            assert got.headers["Content-Range"] == f"bytes 100000-299999/{len(sound)}"
            assert await got.read() == sound[100_000:300_000]


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
async def test_the_answer_to_a_head_says_how_long_it_would_be(tmp_path: Path, size: int) -> None:
    (tmp_path / "sound").write_bytes(bytes(size))

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(tmp_path / "sound")

    async with in_front_of(answer, tmp_path) as client:
        async with client.head("/sound") as got:
            assert (got.status, got.headers["Content-Length"]) == (200, str(size))
            assert await got.read() == b""
        async with client.get("/sound") as got:
            assert len(await got.read()) == size


async def test_a_packed_body_arrives_as_what_it_says(tmp_path: Path) -> None:
    """The server that relays has unpacked it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=await request.read())

    async with in_front_of(answer, tmp_path) as client:
        packed = gzip.compress(b'{"call_id": "rtc_1"}')
        async with client.post("/", data=packed, headers={"Content-Encoding": "gzip"}) as got:
            assert (got.status, await got.read()) == (200, b'{"call_id": "rtc_1"}')


async def test_half_an_answer_is_no_answer(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b"x" * 200_000)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with in_front_of(answer, tmp_path) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/sound") as got:
                await got.read()


async def test_the_owner_learns_the_clients_address_last(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(request.headers["X-Forwarded-For"])

    async with in_front_of(answer, tmp_path) as client:
        async with client.get("/") as got:
            assert await got.json() == "127.0.0.1"
        async with client.get("/", headers={"X-Forwarded-For": "192.0.2.1"}) as got:
            assert await got.json() == "192.0.2.1, 127.0.0.1"
