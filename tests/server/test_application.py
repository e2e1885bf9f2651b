"""The way to the application's process: what is relayed, within which bounds, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.server.fakes import Running, running
from vivavoz.server import bodies
from vivavoz.server.application import application_routes


@contextlib.asynccontextmanager
async def before_an_application(folder: Path) -> AsyncIterator[tuple[Running, list[str]]]:
    """A worker, and what its application has been asked."""
    asked: list[str] = []

    async def watch(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.query.get("role") == "boss":
            raise web.HTTPBadRequest(text="no such role")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    async def other(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path}")
        return web.Response(body=await request.read())

    behind = web.Application()
    behind.router.add_get("/api/watch", watch)
    behind.router.add_route("*", "/{path:.*}", other)
    runner = web.AppRunner(behind)
    await runner.setup()
    socket = folder / "application.sock"
    await web.UnixSite(runner, str(socket)).start()
    try:
        async with running(keys=(), extra=application_routes(socket, page=False)) as worker:
            yield worker, asked
    finally:
        await runner.cleanup()


async def raw(worker: Running, head: str, body: bytes) -> bytes:
    """The status line of what is answered while the connection stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(worker.url.rpartition(":")[2]))
    try:
        writer.write(f"{head}\r\nHost: localhost\r\n\r\n".encode() + body)
        async with asyncio.timeout(60):
            return await reader.readline()
    finally:
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.1)
    async with before_an_application(tmp_path) as (worker, asked):
        status = await raw(worker, "POST /connect HTTP/1.1\r\nContent-Length: 1000", b"v=0")
        assert status.split()[1] == b"408"
        assert asked == []


async def test_a_body_beyond_all_bounds_is_refused_before_it_comes(tmp_path: Path) -> None:
    async with before_an_application(tmp_path) as (worker, asked):
        status = await raw(worker, "POST /connect HTTP/1.1\r\nContent-Length: 99999999999", b"")
        assert status.split()[1] == b"413"
        assert asked == []


async def test_why_a_websocket_is_refused_is_told(tmp_path: Path) -> None:
    async with before_an_application(tmp_path) as (worker, _):
        url = worker.url + "/api/watch"
        async with worker.http.ws_connect(url) as socket:
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await worker.http.ws_connect(url + "?role=boss")
        assert refused.value.status == 400


async def test_only_a_get_can_become_a_websocket(tmp_path: Path) -> None:
    async with before_an_application(tmp_path) as (worker, asked):
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with worker.http.post(worker.url + "/connect", data=b"v=0", headers=headers) as answer:
            assert (answer.status, await answer.read()) == (200, b"v=0")
        assert asked == ["POST /connect"]
