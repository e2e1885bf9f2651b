"""A call's working folder: whatever comes in whichever order, and whatever cuts it short."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.app.recordings.calls import FullDisk, info, tone
from vivavoz.app.recordings.disk import Disk
from vivavoz.app.recordings.take import MAX_SAMPLES, Take, event_line, whole_lines

PIECES = st.lists(
    st.tuples(st.integers(-50, 3000), st.integers(1, 400), st.integers(-3000, 3000).filter(bool)), max_size=25
)


class NeverSynced(Disk):
    """Quick; a crash of the machine is none of these tests' business."""

    def sync(self, file: int) -> None:
        pass

    def replace(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)


@given(pieces=PIECES, rounds=st.integers(1, 4))
def test_every_sample_lies_at_its_position_whatever_the_order_and_overlap(
    pieces: list[tuple[int, int, int]], rounds: int
) -> None:
    length = max((position + count for position, count, _ in pieces if position + count > 0), default=0)
    expected = np.zeros(length, np.int16)
    with tempfile.TemporaryDirectory() as folder:
        take, disk = Take(Path(folder) / "take", info()), NeverSynced()
        for n, (position, count, value) in enumerate(pieces):
            take.sound("caller", position, np.full(count, value, "<i2").tobytes())
            expected[max(0, position) : max(0, position + count)] = value
            if n % rounds == 0:
                take.write(disk, 0.0)
        take.write(disk, 0.0)
        take.release(disk)
        path = Path(folder) / "take/caller.pcm"
        written = np.frombuffer(path.read_bytes() if path.exists() else b"", "<i2")
    assert take.received == take.written
    np.testing.assert_array_equal(written, expected)


def test_a_stretch_without_sound_takes_no_room(tmp_path: Path) -> None:
    take, disk = Take(tmp_path / "take", info()), Disk()
    take.sound("assistant", 24_000 * 600, tone(2400))
    take.write(disk, 0.0)
    take.release(disk)
    found = (tmp_path / "take/assistant.pcm").stat()
    assert found.st_size == 2 * (24_000 * 600 + 2400)
    assert found.st_blocks * 512 < 64 * 1024


def test_sound_beyond_any_call_and_half_a_sample_are_left_out(tmp_path: Path) -> None:
    take, disk = Take(tmp_path / "take", info()), Disk()
    take.sound("caller", MAX_SAMPLES - 1, tone(10))
    take.sound("caller", 10**15, tone(10))
    take.sound("assistant", 0, tone(10) + b"\1")
    take.write(disk, 0.0)
    take.release(disk)
    assert (tmp_path / "take/caller.pcm").stat().st_size == 2 * MAX_SAMPLES
    assert (tmp_path / "take/assistant.pcm").stat().st_size == 20


def test_a_torn_line_is_cut_off_when_the_record_goes_on(tmp_path: Path) -> None:
    disk = Disk()
    first = Take(tmp_path / "take", info())
    first.event(event_line(1.0, "server", b'{"type":"a"}'))
    first.write(disk, 0.0)
    first.release(disk)
    with (tmp_path / "take/events.jsonl").open("ab") as file:
        file.write(b'{"at":2.0,"sender":"ser')
    second = Take(tmp_path / "take", info())
    second.event(event_line(3.0, "server", b'{"type":"b"}'))
    second.write(disk, 2.5)
    second.release(disk)
    assert (tmp_path / "take/events.jsonl").read_bytes() == (
        b'{"at":1.000,"sender":"server","event":{"type":"a"}}\n'
        b'{"at":2.500,"resumed":{}}\n'
        b'{"at":3.000,"sender":"server","event":{"type":"b"}}\n'
    )


@pytest.mark.parametrize(
    ("content", "whole"),
    [(b"", 0), (b"abc", 0), (b"ab\n", 3), (b"ab\ncd", 3), (b"\n" + b"x" * 200_000, 1)],
)
def test_whole_lines_are_found_from_the_end(tmp_path: Path, content: bytes, whole: int) -> None:
    path = tmp_path / "lines"
    path.write_bytes(content)
    assert whole_lines(path) == whole


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    disk = Disk()
    first, second = Take(tmp_path / "take", info()), Take(tmp_path / "take", info())
    first.write(disk, 0.0)
    with pytest.raises(BlockingIOError):
        second.write(disk, 0.0)
    first.release(disk)
    second.write(disk, 0.0)
    second.release(disk)


def test_what_a_full_disk_refused_is_written_when_there_is_room(tmp_path: Path) -> None:
    disk = FullDisk(room=10_000)
    take = Take(tmp_path / "take", info())
    take.write(disk, 0.0)
    disk.room = 70
    for n in range(3):
        take.event(event_line(n, "server", b'{"type":"x"}'))
    take.sound("caller", 0, tone(100))
    with pytest.raises(OSError, match="No space left"):
        take.write(disk, 0.0)
    assert (tmp_path / "take/events.jsonl").read_bytes() == b""  # not half a line
    disk.room = 10_000
    take.write(disk, 0.0)
    take.release(disk)
    assert (tmp_path / "take/events.jsonl").read_bytes().count(b"\n") == 3
    assert (tmp_path / "take/caller.pcm").read_bytes() == tone(100)
    assert take.received == take.written


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    take, disk = Take(tmp_path / "take", info()), Disk()
    take.event(b"{}\n")
    take.sound("caller", 0, tone(10))
    take.write(disk, 0.0)
    take.release(disk)
    assert (tmp_path / "take").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "take").iterdir()} == {0o600}
