"""Loading, failing and draining: what clients are told, and when to come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.server.fakes import KEY, OFFER, FakeEngines, Running, running
from tests.waiting import until
from vivavoz.config import Config, Server

NO_WAIT = Config(default_engines="scripted", server=Server(ready_wait_seconds=0.0))
PATIENT = Config(default_engines="scripted", server=Server(ready_wait_seconds=30.0))


async def a_call(server: Running) -> tuple[int, str | None, Any]:
    headers = {"api-key": KEY, "Content-Type": "application/sdp"}
    async with server.http.post(server.url + "/v1/realtime/calls", data=OFFER, headers=headers) as answer:
        code = (await answer.json())["error"]["code"] if answer.status >= 400 else None
        return answer.status, code, answer.headers.get("Retry-After")


async def get(server: Running, path: str) -> tuple[int, dict[str, Any]]:
    async with server.http.get(server.url + path) as answer:
        body: dict[str, Any] = await answer.json()
        return answer.status, body


async def test_while_engines_load_all_but_calls_works() -> None:
    gate = asyncio.Event()
    async with running(NO_WAIT, engines=FakeEngines(gate)) as server:
        assert await a_call(server) == (503, "engines_loading", "2")
        status, body = await get(server, "/healthz")
        assert (status, body["status"]) == (200, "loading")
        assert (await get(server, "/readyz"))[0] == 503
        async with server.http.post(
            server.url + "/v1/realtime/client_secrets", headers={"api-key": KEY}
        ) as answer:
            assert answer.status == 200
        gate.set()
        await server.service.engines.wait_ready("gpt-realtime", 5)
        assert (await a_call(server))[0] == 201
        assert (await get(server, "/readyz"))[0] == 200


async def test_a_call_waits_a_moment_for_engines_that_load() -> None:
    gate = asyncio.Event()
    async with running(PATIENT, engines=FakeEngines(gate)) as server, asyncio.TaskGroup() as group:
        waiting = group.create_task(a_call(server))
        await until(lambda: server.service.engines._done["scripted"]._waiters)
        gate.set()
        assert (await waiting)[0] == 201


async def test_engines_that_cannot_be_loaded() -> None:
    async with running(PATIENT, engines=FakeEngines(failure="no model file")) as server:
        status, code, retry = await a_call(server)
        assert (status, code) == (503, "engines_failed")
        assert int(retry) > 0
        assert (await get(server, "/healthz"))[1]["status"] == "failed"


async def test_draining_refuses_new_calls_and_keeps_the_others() -> None:
    async with running() as server:
        url = server.url + "/v1/realtime?model=m"
        async with server.http.ws_connect(url, headers={"api-key": KEY}) as websocket:
            await websocket.receive_str()
            server.service.draining = True
            status, code, retry = await a_call(server)
            assert (status, code) == (503, "server_draining")
            assert int(retry) > 0
            assert (await get(server, "/healthz"))[1]["status"] == "draining"
            assert (await get(server, "/readyz"))[0] == 503
            await websocket.send_str("x")
            await websocket.receive_str()


async def test_the_report_holds_no_secret() -> None:
    async with running() as server, server.http.get(server.url + "/healthz") as answer:
        text = await answer.text()
        assert KEY not in text
        body = await answer.json()
        assert body["key_required"] is True
        assert body["engines"] == [
            {"task": "llm", "name": "fake", "state": "ready", "quality": None, "detail": None}
        ]


async def test_engines_are_stopped_in_the_end() -> None:
    engines = FakeEngines()
    async with running(engines=engines):
        assert not engines.stopped
    assert engines.stopped


@pytest.mark.parametrize("strict", [False, True])
async def test_unknown_models(strict: bool) -> None:
    async with running(Config(default_engines="scripted", strict_models=strict)) as server:
        headers = {"api-key": KEY, "Content-Type": "application/sdp"}
        url = server.url + "/openai/v1/realtime/calls?model=nope"
        async with server.http.post(url, data=OFFER, headers=headers) as answer:
            assert answer.status == (404 if strict else 201)
            if strict:
                assert (await answer.json())["error"]["code"] == "DeploymentNotFound"
