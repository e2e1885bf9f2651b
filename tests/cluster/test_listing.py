"""The list of calls is that of all workers, whichever is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.cluster.test_relay import AUTH, a_call, two_workers
from tests.server.fakes import Running


async def listed(server: Running, query: str = "") -> Any:
    async with server.http.get(f"{server.url}/v1/realtime/calls{query}", headers=AUTH) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_every_worker_lists_all_calls(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (one, other):
        calls = {(await a_call(one)).id, (await a_call(other)).id}
        pages = [await listed(server) for server in (one, other)]
        assert [{entry["id"] for entry in page["data"]} for page in pages] == [calls, calls]
        assert pages[0]["cursor"] == pages[1]["cursor"]


async def test_who_waits_hears_of_a_call_of_another_worker(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (one, other):
        before = await listed(one)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(listed(one, f"?wait=20&cursor={before['cursor']}"))
            call = await a_call(other)
        assert [entry["id"] for entry in waiting.result()["data"]] == [call.id]
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(listed(one, f"?wait=20&cursor={waiting.result()['cursor']}"))
            call.hangup("over")
        assert gone.result()["data"] == []


async def test_a_worker_that_is_away_has_no_calls(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (one, other):
        call = await a_call(one)
        await a_call(other)
        before = await listed(one)
        (tmp_path / "01.sock").unlink()
        away = await listed(one, f"?wait=20&cursor={before['cursor']}")
        assert [entry["id"] for entry in away["data"]] == [call.id]
        assert await listed(one, f"?wait=0.05&cursor={away['cursor']}") == away


async def test_healthz_says_which_worker_answers(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as workers:
        await a_call(workers[1])
        said = []
        for server in workers:
            async with server.http.get(f"{server.url}/healthz") as answer:
                report = await answer.json()
                said.append((report["worker"], report["workers"], report["calls"]))
        assert said == [("00", 2, 0), ("01", 2, 1)]
