"""The recorder: it never holds a call up, it loses little, and it says what it lost."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from tests.app.recordings.calls import START, FullDisk, Kept, info, state, tone
from tests.waiting import until
from vivavoz.app.recordings import recorder as module
from vivavoz.app.recordings.disk import Disk
from vivavoz.app.recordings.packing import pack
from vivavoz.app.recordings.recorder import FileRecorder

EVENT = b'{"type":"response.created","event_id":"event_1"}'


def lines(folder: Path) -> list[dict[str, object]]:
    content = (folder / "events.jsonl").read_bytes()
    assert content.endswith(b"\n") or not content
    return [msgspec.json.decode(line) for line in content.splitlines()]


def test_a_call_is_written_down_from_its_opening_to_its_end(tmp_path: Path) -> None:
    finished: list[str] = []
    recorder = FileRecorder(tmp_path, finished=finished.append)
    call = info()
    recorder.opened(call)
    recorder.event("rtc_1", START + 1, "server", EVENT)
    recorder.audio("rtc_1", "caller", 0, tone(4800))
    recorder.round(0.0)
    recorder.event("rtc_1", START + 2, "console", b'{"type":"response.cancel"}')
    recorder.gap("rtc_1", START + 2, START + 3, "the service was away")
    recorder.closed("rtc_1", START + 4, "hang-up", state(call, "hello", session={"instructions": "secret"}))
    recorder.round(1.0)
    assert finished == ["rtc_1"]
    assert lines(tmp_path / "rtc_1") == [
        {"at": START + 1, "sender": "server", "event": {"type": "response.created", "event_id": "event_1"}},
        {"at": START + 2, "sender": "console", "event": {"type": "response.cancel"}},
        {
            "at": START + 3,
            "gap": {"since": START + 2, "until": START + 3, "reason": "the service was away"},
        },
        {"at": START + 4, "end": {"reason": "hang-up"}},
    ]
    assert (tmp_path / "rtc_1/caller.pcm").read_bytes() == tone(4800)
    assert b"secret" not in (tmp_path / "rtc_1/end.json").read_bytes()


def test_a_call_that_is_not_to_be_recorded_is_not(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path)
    call = info(record=False)
    recorder.opened(call)
    recorder.event("rtc_1", START, "server", EVENT)
    recorder.audio("rtc_1", "caller", 0, tone(10))
    recorder.closed("rtc_1", START, "hang-up", state(call))
    recorder.round(0.0)
    assert list(tmp_path.iterdir()) == []


def test_calls_that_nobody_opened_are_passed_over(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path)
    recorder.event("rtc_9", START, "server", EVENT)
    recorder.audio("rtc_9", "caller", 0, tone(10))
    recorder.gap("rtc_9", START, START, "x")
    recorder.closed("rtc_9", START, "x", state(info("rtc_9")))
    recorder.round(0.0)
    assert list(tmp_path.iterdir()) == []


def test_the_same_call_after_its_end_gets_a_record_of_its_own(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path)
    for reason in ("given up", "hang-up"):
        recorder.opened(info())
        recorder.closed("rtc_1", START, reason, state(info()))
        recorder.round(0.0)
    ends = {path.name: lines(path)[-1]["end"] for path in tmp_path.iterdir()}
    assert ends == {"rtc_1": {"reason": "given up"}, "rtc_1.2": {"reason": "hang-up"}}


@pytest.mark.parametrize("call_id", ["../../etc/passwd", "a/b", ".", "", "x" * 300, "ação"])
def test_an_id_leads_to_no_other_place(tmp_path: Path, call_id: str) -> None:
    work = tmp_path / "work"
    recorder = FileRecorder(work)
    recorder.opened(info(call_id))
    recorder.event(call_id, START, "server", EVENT)
    recorder.round(0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    (folder,) = work.iterdir()
    assert len(lines(folder)) == 1


# ------------------------------------------------------------------------------------ a full disk


def test_a_full_disk_is_said_once_and_costs_nothing_if_it_is_short(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(room=100_000)
    recorder = FileRecorder(tmp_path, disk=disk)
    recorder.opened(info())
    recorder.round(0.0)
    disk.room = 0
    with caplog.at_level(logging.INFO, "vivavoz.app.recordings"):
        for n in range(50):
            recorder.event("rtc_1", START + n, "server", EVENT)
            recorder.audio("rtc_1", "caller", n * 100, tone(100))
            recorder.round(n / 4)
        assert recorder.problem == "recordings cannot be written: No space left on device"
        disk.room = 10**9
        recorder.round(20.0)
    assert recorder.problem is None
    assert len(lines(tmp_path / "rtc_1")) == 50
    assert (tmp_path / "rtc_1/caller.pcm").stat().st_size == 50 * 200
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_what_does_not_fit_while_the_disk_is_full_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INBOX_BYTES", 20_000)
    disk = FullDisk()
    recorder = FileRecorder(tmp_path, disk=disk, clock=lambda: START + 60)
    recorder.opened(info())
    for n in range(10):
        recorder.audio("rtc_1", "caller", n * 2400, tone(2400))  # 0.1 s, 4800 bytes each
    for _ in range(20):
        recorder.event("rtc_1", START, "server", b'{"type":"%b"}' % (b"x" * 300))
    recorder.round(0.0)
    disk.room = 10**9
    recorder.round(1.0)
    first, *events = lines(tmp_path / "rtc_1")
    kept = (tmp_path / "rtc_1/caller.pcm").stat().st_size // 4800
    assert first == {"at": START + 60, "lost": {"events": 20 - len(events), "sound_ms": 100 * (10 - kept)}}
    assert (kept, len(events)) == (4, 2)
    recorder.audio("rtc_1", "caller", 0, tone(2400))  # there is room again
    recorder.round(2.0)
    assert len(lines(tmp_path / "rtc_1")) == 3


def test_an_event_beyond_measure_is_left_out(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path, clock=lambda: START)
    recorder.opened(info())
    recorder.event("rtc_1", START, "server", b'{"x":"%b"}' % (b"x" * 2**20))
    recorder.round(0.0)
    assert lines(tmp_path / "rtc_1") == [{"at": START, "lost": {"events": 1, "sound_ms": 0}}]


def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "work").touch()
    recorder = FileRecorder(tmp_path / "work")
    recorder.opened(info())
    recorder.event("rtc_1", START, "server", EVENT)
    recorder.round(0.0)
    assert recorder.problem == "recordings cannot be written: Not a directory"
    (tmp_path / "work").unlink()
    recorder.round(1.0)
    assert recorder.problem is None
    assert len(lines(tmp_path / "work/rtc_1")) == 1


async def test_a_disk_that_stalls_holds_nobody_up(tmp_path: Path) -> None:
    stalled, go = threading.Event(), threading.Event()

    class Stalling(Disk):
        def write_at(self, file: int, position: int, data: bytes) -> None:
            stalled.set()
            go.wait(30)
            super().write_at(file, position, data)

    recorder = FileRecorder(tmp_path, disk=Stalling())
    recorder.start()
    recorder.opened(info())
    recorder.event("rtc_1", START, "server", EVENT)
    assert await asyncio.to_thread(stalled.wait, 30)
    for n in range(1000):  # each returns at once, or this would wait for `go`, which comes after it
        recorder.event("rtc_1", START + n, "server", EVENT)
        recorder.audio("rtc_1", "caller", n * 100, tone(100))
    recorder.closed("rtc_1", START, "hang-up", state(info()))
    go.set()
    await until(lambda: (tmp_path / "rtc_1/end.json").exists())
    await asyncio.to_thread(recorder.stop)
    assert len(lines(tmp_path / "rtc_1")) == 1002


def test_files_are_put_on_the_disk_every_second_and_no_more_often(tmp_path: Path) -> None:
    synced: list[float] = []
    now = 0.0

    class Counting(Disk):
        def sync(self, file: int) -> None:
            synced.append(now)

    recorder = FileRecorder(tmp_path, disk=Counting())
    recorder.opened(info())
    recorder.round(now)
    synced.clear()
    while now < 5.0:
        recorder.event("rtc_1", START, "server", EVENT)
        recorder.audio("rtc_1", "caller", 0, tone(10))
        now += 0.25
        recorder.round(now)
    assert synced == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0]


def test_a_stop_writes_what_came_in_and_leaves_the_call_to_the_next_process(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path)
    recorder.start()
    recorder.opened(info())
    recorder.event("rtc_1", START, "server", EVENT)
    recorder.stop()
    assert len(lines(tmp_path / "rtc_1")) == 1
    assert not (tmp_path / "rtc_1/end.json").exists()
    again = FileRecorder(tmp_path)
    again.opened(info())
    again.event("rtc_1", START + 1, "server", EVENT)
    again.round(0.0)
    first, resumed, second = lines(tmp_path / "rtc_1")
    assert (first["at"], second["at"]) == (START, START + 1)
    assert "resumed" in resumed


# ------------------------------------------------------------------------------------ kill -9

CHILD = """
import sys, time
from pathlib import Path
from tests.app.recordings.calls import info, tone
from vivavoz.app.recordings.packing import pack
from vivavoz.app.recordings.recorder import FileRecorder

recorder = FileRecorder(Path(sys.argv[1]))
recorder.start()
recorder.opened(info(started_at=time.time()))
n = 0
while True:
    recorder.audio("rtc_1", "caller", n * 480, tone(480))
    recorder.audio("rtc_1", "assistant", n * 480, tone(480, level=1000))
    recorder.event("rtc_1", time.time(), "server", b'{"type":"response.created","n":%d}' % n)
    print(n, flush=True)
    n += 1
    time.sleep(0.02)
"""


def test_a_killed_process_loses_less_than_two_seconds(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:  # three seconds of call, as the child counts them
            if int(line) >= 150:
                break
        child.send_signal(signal.SIGKILL)
        told = [150, *map(int, child.stdout.read().split())]
    last = told[-1]
    written = (tmp_path / "rtc_1/events.jsonl").read_bytes()
    kept = [msgspec.json.decode(line) for line in written[: written.rindex(b"\n")].splitlines()]
    assert last - len(kept) < 100  # of which there are fifty a second at most
    assert [record["event"]["n"] for record in kept] == list(range(len(kept)))
    for track in ("caller", "assistant"):
        samples = (tmp_path / f"rtc_1/{track}.pcm").stat().st_size // 2
        assert (last + 1) * 480 - samples < 2 * 24_000
    recovered = pack(tmp_path / "rtc_1", "rtc_1", audio="flac", notice=None, stop=threading.Event())
    assert (recovered.meta.status, recovered.meta.events) == ("interrupted", len(kept))
    sound = Kept(recovered.path).sound()
    assert (last + 1) * 480 - len(sound) < 2 * 24_000
    assert sound[:480, 0].astype("<i2").tobytes() == tone(480)
