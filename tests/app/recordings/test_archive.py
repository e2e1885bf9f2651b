"""From a call's end to the end of its recording: kept, found again, recovered, deleted in time."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import fsspec
import pytest

from tests.app.recordings.archives import DAY, Archived, Clock, archived, cut_short
from tests.app.recordings.calls import START, Kept, info, tone
from tests.waiting import until
from vivavoz.app.recordings import archive as module
from vivavoz.app.recordings.archive import NICENESS
from vivavoz.app.recordings.sound import Stopped
from vivavoz.app.recordings.storage import Folder, ObjectStore, storage_at


async def test_a_call_that_ended_is_kept_in_one_file_and_one_row(tmp_path: Path) -> None:
    async with archived(tmp_path) as made:
        made.record("rtc_1", "Olá", "Até logo", seconds=2.0)
        row = await made.row("rtc_1")
        await made.settled()
    assert made.files == ["2023-11-14/rtc_1.zip"]
    assert made.working == []
    content = (tmp_path / "recordings/kept" / row.file).read_bytes()
    assert (row.bytes, row.duration_ms, row.status, row.user) == (len(content), 2000, "complete", "ana")
    assert content[row.audio_offset :][:4] == b"fLaC"
    assert row.audio_bytes < len(content)
    assert Kept(content).meta["id"] == "rtc_1"


async def test_words_only_where_sound_is_off(tmp_path: Path) -> None:
    async with archived(tmp_path, audio="off") as made:
        made.record("rtc_1", "Olá")
        row = await made.row("rtc_1")
    assert row.audio_type is None


async def test_two_recordings_of_one_call_are_both_kept(tmp_path: Path) -> None:
    async with archived(tmp_path) as made:
        made.record("rtc_1", "first")
        await made.row("rtc_1")
        await made.settled()
        made.record("rtc_1", "second")
        assert (await made.row("rtc_1.2")).last_words == "second"
        assert (await made.row("rtc_1")).last_words == "first"
    assert made.files == ["2023-11-14/rtc_1.2.zip", "2023-11-14/rtc_1.zip"]


async def test_nobody_else_can_read_what_is_kept(tmp_path: Path) -> None:
    async with archived(tmp_path / "state") as made:
        made.record("rtc_1")
        await made.row("rtc_1")
        await made.settled()
        made.archive.recorder.opened(info("rtc_2"))
        await until((tmp_path / "state/recordings/work/rtc_2/events.jsonl").exists)
    found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "state").rglob("*")}
    assert len(found) > 8
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}


async def test_packing_yields_to_everything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = module.pack

    def pack(*arguments: object, **named: object) -> object:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "pack", pack)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    async with archived(tmp_path) as made:
        made.record("rtc_1")
        await made.row("rtc_1")
    assert seen == [max(before, NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


# ------------------------------------------------------------------------------------ after a crash


async def test_what_a_killed_process_left_is_packed_and_marked(tmp_path: Path) -> None:
    cut_short(tmp_path, "rtc_1", "rtc_2")
    async with archived(tmp_path) as made:
        for name in ("rtc_1", "rtc_2"):
            row = await made.row(name)
            assert (row.status, row.duration_ms) == ("interrupted", 1000)
            assert row.end_reason == "the application ended before the call did"
        await made.settled()
    assert made.working == []


async def test_a_call_that_may_go_on_is_waited_for_and_continued(tmp_path: Path) -> None:
    cut_short(tmp_path, "rtc_1")
    async with archived(tmp_path) as made:
        await made.calls.opened(info())
    async with archived(tmp_path) as made:
        await made.archive.look()
        assert made.archive.packing == 0
        made.archive.recorder.opened(info())
        made.archive.recorder.audio("rtc_1", "caller", 48_000, tone(24_000))
        await made.archive.look()
        made.record("rtc_1", "Olá", seconds=4.0)  # its opening is known, its end is not
        row = await made.row("rtc_1")
        assert (row.status, row.duration_ms) == ("complete", 4000)


async def test_a_call_that_ended_meanwhile_is_packed_when_that_is_known(tmp_path: Path) -> None:
    cut_short(tmp_path, "rtc_1")
    async with archived(tmp_path) as made:
        await made.calls.opened(info())
    async with archived(tmp_path) as made:
        await made.archive.look()
        assert made.archive.packing == 0
        await made.calls.closed("rtc_1", START + 30, "gone")
        await made.archive.look()
        assert (await made.row("rtc_1")).status == "interrupted"


async def test_a_call_that_nobody_goes_on_with_is_given_up(tmp_path: Path) -> None:
    cut_short(tmp_path, "rtc_1")
    clock = Clock()
    async with archived(tmp_path, clock) as made:
        await made.calls.opened(info())
    async with archived(tmp_path, clock) as made:
        await made.archive.look()
        assert made.archive.packing == 0
        clock.now += module.GIVE_UP_S
        await made.archive.look()
        assert (await made.row("rtc_1")).status == "interrupted"


async def test_a_process_killed_after_keeping_and_before_clearing_keeps_one(tmp_path: Path) -> None:
    cut_short(tmp_path, "rtc_1")
    work = tmp_path / "recordings/work/rtc_1"
    shutil.copytree(work, tmp_path / "copy")
    for _ in range(2):
        async with archived(tmp_path) as made:
            await until(lambda: not work.exists(), 60)
            await made.settled()
            assert (await made.archive.catalogue.totals()).recordings == 1
        assert made.files == ["2023-11-14/rtc_1.zip"]
        shutil.copytree(tmp_path / "copy", work)


async def test_a_folder_that_another_process_writes_is_left_to_it(tmp_path: Path) -> None:
    async with archived(tmp_path) as other:
        other.archive.recorder.opened(info())
        other.archive.recorder.event("rtc_1", START, "server", b"{}")
        await until((tmp_path / "recordings/work/rtc_1/info.json").exists)
        async with archived(tmp_path) as made:
            await made.archive.look()
            await made.settled()
            assert await made.archive.catalogue.find("rtc_1") is None
        assert other.working == ["rtc_1"]


async def test_a_folder_that_cannot_be_read_stands_in_nobodys_way(tmp_path: Path) -> None:
    cut_short(tmp_path, "rtc_1", "rtc_2")
    (tmp_path / "recordings/work/rtc_1/info.json").write_text("{")
    async with archived(tmp_path) as made:
        await made.row("rtc_2")
        await until(lambda: made.archive.problem)
        assert made.archive.problem == "recording rtc_1 cannot be finished: DecodeError"
        await until(lambda: made.working == ["rtc_1"])


# ------------------------------------------------------------------------------------ what does not work


async def test_a_locked_database_delays_a_recording_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    async with archived(tmp_path) as made:
        await made.database.open()
        other = sqlite3.connect(tmp_path / "vivavoz.sqlite", isolation_level=None)
        other.execute("begin immediate")
        made.record("rtc_1", "Olá")
        await until(lambda: "recording rtc_1" in str(made.archive.problem), 60)
        assert "database is locked" in str(made.archive.problem)
        assert made.working == ["rtc_1"]
        await asyncio.sleep(0.3)  # some tries
        other.execute("rollback")
        other.close()
        await made.row("rtc_1")
        await until(lambda: made.archive.problem is None)
    assert sum("cannot be finished" in record.message for record in caplog.records) == 1


async def test_storage_that_is_away_delays_a_recording_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    (tmp_path / "elsewhere").touch()
    async with archived(tmp_path, folder=str(tmp_path / "elsewhere")) as made:
        made.record("rtc_1", "Olá")
        await until(lambda: made.archive.problem, 60)
        assert made.archive.problem == "recording rtc_1 cannot be finished: Not a directory"
        (tmp_path / "elsewhere").unlink()
        row = await made.row("rtc_1")
    assert (tmp_path / "elsewhere" / row.file).exists()


@pytest.mark.parametrize("same", [True, False], ids=["run again", "another process"])
async def test_the_end_stops_packing_and_the_next_run_does_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    packing = threading.Event()

    def pack(*_: object, stop: threading.Event, **__: object) -> None:
        packing.set()
        assert stop.wait(20)
        raise Stopped

    made = Archived(tmp_path, Clock())
    with monkeypatch.context() as patched:
        patched.setattr(module, "pack", pack)
        async with made.running():
            made.record("rtc_1", "Olá")
            assert await asyncio.to_thread(packing.wait, 60)
    assert made.working == ["rtc_1"]
    if not same:
        await made.database.close()
        made = Archived(tmp_path, Clock())
    async with made.running():
        assert (await made.row("rtc_1")).status == "complete"
    await made.database.close()


# ------------------------------------------------------------------------------------ retention


async def test_recordings_are_deleted_when_they_are_old_enough(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(START)
    async with archived(tmp_path, clock, retention_days=30) as made:
        for day in (0, 10, 20):
            clock.now = START + day * DAY
            made.record(f"rtc_{day}", at=clock.now)
            await made.row(f"rtc_{day}")
            await made.settled()
        for now, left in ((29.9, 3), (31.0, 2), (41.0, 1), (51.0, 0)):
            clock.now = START + now * DAY
            with caplog.at_level(logging.INFO, "vivavoz.app.audit"):
                await made.archive.tidy()
            assert (await made.archive.catalogue.totals()).recordings == left
            assert len(made.files) == left
    audit = [record.message for record in caplog.records if record.name == "vivavoz.app.audit"]
    assert audit == [f"recording rtc_{day} deleted (retention: too old)" for day in (0, 10, 20)]


async def test_zero_days_is_for_ever(tmp_path: Path) -> None:
    clock = Clock(START)
    async with archived(tmp_path, clock, retention_days=0) as made:
        made.record("rtc_1")
        await made.row("rtc_1")
        clock.now += 10_000 * DAY
        await made.archive.tidy()
        assert (await made.archive.catalogue.totals()).recordings == 1


async def test_the_oldest_make_room_for_the_newest(tmp_path: Path) -> None:
    async with archived(tmp_path) as made:
        for n in range(4):
            made.record(f"rtc_{n}", at=START + n)
            await made.row(f"rtc_{n}")
            await made.settled()
        sizes = [(await made.row(f"rtc_{n}")).bytes for n in range(4)]
    async with archived(tmp_path, retention_bytes=sizes[2] + sizes[3]) as made:
        await made.archive.tidy()
        assert made.files == ["2023-11-14/rtc_2.zip", "2023-11-14/rtc_3.zip"]
        assert (await made.archive.catalogue.totals()).bytes == sizes[2] + sizes[3]


async def test_what_cannot_be_deleted_stays_visible_and_is_tried_again(tmp_path: Path) -> None:
    clock = Clock(START)
    async with archived(tmp_path, clock) as made:
        made.record("rtc_1")
        row = await made.row("rtc_1")
        path = tmp_path / "recordings/kept" / row.file
        content = path.read_bytes()
        path.unlink()
        path.mkdir()  # even root cannot unlink it
        clock.now += 100 * DAY
        await made.archive.tidy()
        assert "old recordings cannot be deleted" in str(made.archive.problem)
        assert (await made.archive.catalogue.totals()).recordings == 1
        path.rmdir()
        path.write_bytes(content)
        await made.archive.tidy()
        assert made.archive.problem is None
        assert (await made.archive.catalogue.totals()).recordings == 0


async def test_words_of_a_deleted_recording_are_gone_from_the_database(tmp_path: Path) -> None:
    async with archived(tmp_path) as made:
        made.record("rtc_1", "xylophone")
        row = await made.row("rtc_1")
        await made.settled()
        await made.archive.delete(row, "ana")
    content = (tmp_path / "vivavoz.sqlite").read_bytes()
    assert not (tmp_path / "vivavoz.sqlite-wal").exists()  # it was taken in when the database was closed
    assert b"xylophone" not in content


# ------------------------------------------------------------------------------------ object stores


async def test_an_object_store_keeps_and_gives_and_deletes(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/calls"
    async with archived(tmp_path, folder=url) as made:
        made.record("rtc_1", "Olá")
        row = await made.row("rtc_1")
        fs = fsspec.filesystem("memory")
        (name,) = fs.find(f"/{tmp_path.name}")
        assert name == f"/{tmp_path.name}/calls/2023-11-14/rtc_1.zip"
        assert Kept(fs.cat_file(name)).meta["id"] == "rtc_1"
        with await made.archive.open(row) as file:
            file.seek(row.audio_offset)
            assert file.read(4) == b"fLaC"
        await made.archive.delete(row, "ana")
        assert fs.find(f"/{tmp_path.name}") == []
        await made.archive.delete(row, "ana")  # gone already is fine


def test_a_store_that_cannot_be_used_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[app.recordings\] folder: nonsense: cannot be used"):
        storage_at("nonsense://bucket", tmp_path)


def test_what_a_store_says_of_its_requests_goes_no_further(tmp_path: Path) -> None:
    class Refusing:
        def open(self, *_: object) -> None:
            raise RuntimeError("GET https://bucket/?signature=secret")

    store = ObjectStore("memory://x")
    store._fs = Refusing()
    with pytest.raises(OSError, match=r"the store refused \(RuntimeError\)") as caught:
        store.open("a.zip")
    assert "secret" not in str(caught.value)


def test_a_file_from_another_file_system_is_whole_when_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "packed.zip"
    source.write_bytes(b"content")
    real = os.replace

    def replace(old: Path, new: Path) -> None:
        if Path(old) == source:
            raise OSError(18, "Invalid cross-device link")
        assert Path(old).read_bytes() == b"content"
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    Folder(tmp_path / "kept").put("day/rtc.zip", source)
    kept = tmp_path / "kept/day/rtc.zip"
    assert kept.read_bytes() == b"content"
    assert kept.stat().st_mode & 0o777 == 0o600
