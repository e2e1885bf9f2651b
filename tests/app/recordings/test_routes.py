"""``/api/recordings`` as the console asks for it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.app.recordings.archives import Archived, archived
from tests.app.recordings.calls import START, Kept, decoded, info
from vivavoz.app.errors import AppError, json_errors
from vivavoz.app.recordings.routes import routes


class Ana(NamedTuple):
    name: str = "ana"


class Console:
    def __init__(self, made: Archived, client: TestClient[Any, Any]) -> None:
        self.made = made
        self.client = client

    async def json(self, path: str = "", status: int = 200) -> Any:
        async with self.client.get(f"/api/recordings{path}") as response:
            assert response.status == status, await response.text()
            assert response.headers["Cache-Control"].endswith("no-store")
            return await response.json()

    async def refusal(self, path: str, status: int, **options: Any) -> Any:
        method = options.pop("method", "GET")
        async with self.client.request(method, f"/api/recordings{path}", **options) as response:
            assert response.status == status, await response.text()
            return (await response.json())["error"]

    async def ids(self, query: str = "") -> list[str]:
        return [row["id"] for row in (await self.json(query))["recordings"]]


def operator(request: web.Request) -> Ana:
    if request.headers.get("X-Stranger"):
        raise AppError(403, "Only operators may do this.", "operators_only")
    return Ana()


@contextlib.asynccontextmanager
async def console(state_dir: Path, **config: Any) -> AsyncIterator[Console]:
    async with archived(state_dir, **config) as made:
        app = web.Application(middlewares=[json_errors])
        app.add_routes(routes(made.archive, operator))
        async with TestClient(TestServer(app)) as client:
            yield Console(made, client)


async def recorded(at: Console, *calls: tuple[str, str]) -> None:
    for n, (call_id, words) in enumerate(calls):
        at.made.record(call_id, words, at=START + n)
        await at.made.row(call_id)
    await at.made.settled()


async def test_an_empty_list_says_how_things_are(tmp_path: Path) -> None:
    async with console(tmp_path, retention_days=7) as at:
        assert await at.json() == {
            "recordings": [],
            "next": None,
            "enabled": False,
            "recording": 0,
            "packing": 0,
            "total": 0,
            "total_bytes": 0,
            "retention_days": 7,
            "retention_bytes": 20 * 1024**3,
            "problem": None,
        }


async def test_the_latest_come_first_page_by_page(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, *((f"rtc_{n}", "x") for n in range(5)))
        found, path = [], "?limit=2"
        while True:
            page = await at.json(path)
            found.append([row["id"] for row in page["recordings"]])
            if page["next"] is None:
                break
            path = f"?limit=2&before={page['next']}"
        assert found == [["rtc_4", "rtc_3"], ["rtc_2", "rtc_1"], ["rtc_0"]]
        assert (page["total"], page["total_bytes"] > 1000) == (5, True)


async def test_pages_do_not_lose_those_that_began_together(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        for n in range(4):
            at.made.record(f"rtc_{n}", at=START)
            await at.made.row(f"rtc_{n}")
        first = await at.json("?limit=3")
        assert await at.ids(f"?limit=3&before={first['next']}") == ["rtc_0"]


async def test_a_row_of_the_list(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        (row,) = (await at.json())["recordings"]
        assert row.pop("bytes") > 1000
        assert row == {
            "id": "rtc_1",
            "call_id": "rtc_1",
            "profile": "default",
            "user": "ana",
            "upstream": "vivavoz",
            "origin": "token",
            "status": "complete",
            "end_reason": "hang-up",
            "started_at": START,
            "ended_at": START + 1,
            "duration_ms": 1000,
            "turns": 0,
            "last_words": "Olá",
            "audio": "audio/flac",
        }


async def test_words_of_the_transcript_are_found(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(
            at,
            ("rtc_1", "my Invoice is 50% too high"),
            ("rtc_2", "the invoice of June"),
            ("rtc_3", "Olá, uma ação"),
        )
        for query, expected in {
            "invoice": ["rtc_2", "rtc_1"],
            "INVOICE june": ["rtc_2"],
            "june  invoice": ["rtc_2"],
            "ola": ["rtc_3"],
            "OLÁ acao": ["rtc_3"],
            "50%": ["rtc_1"],
            "%": ["rtc_1"],
            "_": [],
            "' or 1=1 --": [],
            "nothing": [],
            " ": ["rtc_3", "rtc_2", "rtc_1"],
        }.items():
            async with at.client.get("/api/recordings", params={"query": query}) as response:
                found = [row["id"] for row in (await response.json())["recordings"]]
            assert found == expected, query


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=x", "limit"),
        ("?limit=٣", "limit"),
        ("?before=x", "before"),
        ("?query=" + "x" * 201, "query"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_by_its_name(
    tmp_path: Path, path: str, param: str
) -> None:
    async with console(tmp_path) as at:
        assert (await at.refusal(path, 400))["param"] == param


async def test_everything_about_one(tmp_path: Path) -> None:
    async with console(tmp_path, notice="Calls are recorded.") as at:
        await recorded(at, ("rtc_1", "Olá"))
        told = await at.json("/rtc_1")
        assert told["transcript"][0]["text"] == "Olá"
        assert told["transcript"][0]["at_ms"] == 0
        assert [track["name"] for track in told["tracks"]] == ["caller", "assistant"]
        assert (told["usage"]["total_tokens"], told["gaps"], told["notice"]) == (0, [], "Calls are recorded.")
        assert (await at.json("/rtc_1/peaks"))["channels"] == 2


async def test_its_events_are_lines_of_json(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        async with at.client.get("/api/recordings/rtc_1/events") as response:
            assert response.content_type == "application/jsonl"
            lines = [msgspec.json.decode(line) for line in (await response.read()).splitlines()]
        assert lines == [
            {"at": START, "sender": "server", "event": {"type": "session.created"}},
            {"at": START + 1, "end": {"reason": "hang-up"}},
        ]


async def test_its_sound_whole_and_in_parts(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        path = "/api/recordings/rtc_1/audio"
        async with at.client.get(path) as response:
            whole = await response.read()
            assert (response.status, response.content_type) == (200, "audio/flac")
            assert response.headers["Accept-Ranges"] == "bytes"
            etag = response.headers["ETag"]
        assert decoded(whole).shape == (24_000, 2)
        size = len(whole)
        for asked, first, last in (
            ("bytes=0-99", 0, 99),
            ("bytes=100-", 100, size - 1),
            ("bytes=-10", size - 10, size - 1),
        ):
            async with at.client.get(path, headers={"Range": asked, "If-Range": etag}) as response:
                assert response.status == 206
                assert response.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
                assert await response.read() == whole[first : last + 1]
        async with at.client.get(path, headers={"Range": f"bytes={size}-"}) as response:
            assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{size}")
        async with at.client.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'}) as response:
            assert (response.status, await response.read()) == (200, whole)
        async with at.client.head(path) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, str(size))


async def test_all_of_it_as_one_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        with caplog.at_level(logging.INFO, "vivavoz.app.audit"):
            async with at.client.get("/api/recordings/rtc_1/export") as response:
                content = await response.read()
                assert response.headers["Content-Disposition"] == 'attachment; filename="rtc-1.zip"'
        assert Kept(content).meta["id"] == "rtc_1"
        assert "recording rtc_1 exported (ana)" in caplog.messages


async def test_a_deleted_recording_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"), ("rtc_2", "Olá"))
        with caplog.at_level(logging.INFO, "vivavoz.app.audit"):
            async with at.client.delete("/api/recordings/rtc_1") as response:
                assert response.status == 204
        assert "recording rtc_1 deleted (ana)" in caplog.messages
        assert await at.ids() == ["rtc_2"]
        assert at.made.files == ["2023-11-14/rtc_2.zip"]
        for path in ("", "/audio", "/events", "/peaks", "/export"):
            assert (await at.refusal(f"/rtc_1{path}", 404))["code"] == "recording_not_found"
        assert (await at.refusal("/rtc_1", 404, method="DELETE"))["code"] == "recording_not_found"


async def test_a_call_that_is_still_recorded_is_not_to_be_had_yet(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        at.made.archive.recorder.opened(info())
        assert (await at.refusal("/rtc_1", 409))["code"] == "recording_not_finished"
        assert (await at.refusal("/rtc_1", 409, method="DELETE"))["code"] == "recording_not_finished"
        assert (await at.json())["recording"] == 1


async def test_a_hosted_call_has_words_and_no_sound(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        at.made.record("rtc_1", "Olá", upstream="azure")
        await at.made.row("rtc_1")
        told = await at.json("/rtc_1")
        assert (told["audio"], told["transcript"][0]["text"]) == (None, "Olá")
        assert "no sound was received" in told["audio_missing"]
        for path in ("/audio", "/peaks"):
            assert (await at.refusal(f"/rtc_1{path}", 404))["code"] == "recording_has_no_audio"


async def test_a_file_that_somebody_has_removed_or_damaged_is_said_so(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        path = tmp_path / "recordings/kept" / at.made.files[0]
        path.write_bytes(b"not a zip file")
        assert (await at.refusal("/rtc_1", 500))["code"] == "recording_damaged"
        path.unlink()
        for part in ("", "/audio", "/events", "/peaks", "/export"):
            assert (await at.refusal(f"/rtc_1{part}", 404))["code"] == "recording_file_missing"
        async with at.client.delete("/api/recordings/rtc_1") as response:
            assert response.status == 204


async def test_a_locked_database_is_an_answer(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        other = sqlite3.connect(tmp_path / "vivavoz.sqlite", isolation_level=None)
        other.execute("begin immediate")
        for path in ("", "/rtc_1"):
            error = await at.refusal(path, 503)
            assert (error["code"], "locked" in error["message"]) == ("database_unavailable", True)
        other.execute("rollback")
        other.close()
        assert await at.ids() == ["rtc_1"]


@pytest.mark.parametrize(
    "path", ["", "/rtc_1", "/rtc_1/audio", "/rtc_1/events", "/rtc_1/peaks", "/rtc_1/export"]
)
async def test_all_of_it_is_for_operators(tmp_path: Path, path: str) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "Olá"))
        assert (await at.refusal(path, 403, headers={"X-Stranger": "1"}))["code"] == "operators_only"
        if path == "/rtc_1":
            await at.refusal(path, 403, method="DELETE", headers={"X-Stranger": "1"})
            assert at.made.files


async def test_every_answer_is_out_of_caches_and_not_a_page(tmp_path: Path) -> None:
    async with console(tmp_path) as at:
        await recorded(at, ("rtc_1", "<script>"))
        for path in ("", "/rtc_1", "/rtc_1/audio", "/rtc_1/events", "/rtc_1/peaks", "/rtc_1/export"):
            async with at.client.get(f"/api/recordings{path}") as response:
                assert "no-store" in response.headers["Cache-Control"]
                assert response.content_type in {
                    "application/json",
                    "application/jsonl",
                    "application/zip",
                    "audio/flac",
                }
