"""Child processes that are kept: real ones, which write down what they were told."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest

from vivavoz.children import CANNOT_START, Child

CHILD = """
import json, os, signal, sys
plan = json.loads(sys.stdin.readline())
with open(plan["log"], "a") as log:
    print("started", plan["number"], file=log, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("listening", flush=True)
    if plan["number"] == 2 and plan["refuses"]:
        sys.exit(2)
    sys.stdin.read()
    print("orphaned", file=log, flush=True)
"""


class Plan(msgspec.Struct):
    log: str
    number: int
    refuses: bool = False


class Script:
    """A module to run, its plans, and what became of it."""

    def __init__(self, folder: Path, refuses: bool = False) -> None:
        (folder / "kept_child.py").write_text(CHILD)
        self.log = folder / "log"
        self.refuses = refuses
        self.starts = 0
        self.told: asyncio.Queue[int] = asyncio.Queue()
        self.listening: asyncio.Queue[int] = asyncio.Queue()
        self.child = Child(
            "the child", "kept_child", self.plan, lambda: self.listening.put_nowait(self.starts)
        )

    def listens(self) -> None:
        self.listening.put_nowait(self.starts)

    def plan(self) -> Plan:
        self.starts += 1
        self.told.put_nowait(self.starts)
        return Plan(str(self.log), self.starts, self.refuses)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


async def test_a_killed_child_is_started_again_with_a_new_plan(modules: Path) -> None:
    script = Script(modules)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        keeping = group.create_task(script.child.keep())
        assert await script.listening.get() == 1
        first = script.child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await script.listening.get() == 2
        assert script.child.pid not in (None, first)
        script.child.end()
        assert await keeping == 0
    assert script.log.read_text().splitlines() == ["started 1", "started 2"]
    assert script.child.pid is None


async def test_one_that_cannot_start_is_not_tried_again(modules: Path) -> None:
    script = Script(modules, refuses=True)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        keeping = group.create_task(script.child.keep())
        await script.listening.get()
        assert script.child.pid is not None
        os.kill(script.child.pid, signal.SIGKILL)
        assert await keeping == CANNOT_START
    assert script.starts == 2


async def test_one_that_ends_before_it_is_told_anything(
    modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivavoz.children.BACKOFF_S", (0.0,))
    script = Script(modules)
    (modules / "kept_child.py").write_text(f"import pathlib; pathlib.Path({str(script.log)!r}).touch()")
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        keeping = group.create_task(script.child.keep())
        for number in (1, 2, 3):
            assert await script.told.get() == number
        script.child.end()
        assert await keeping == 0
    assert script.log.exists()


async def test_ending_before_the_start_starts_nothing(modules: Path) -> None:
    script = Script(modules)
    script.child.end()
    assert await script.child.keep() == 0
    assert script.starts == 0


async def test_cancelling_kills(modules: Path) -> None:
    script = Script(modules)
    async with asyncio.timeout(60):
        keeping = asyncio.ensure_future(script.child.keep())
        await script.listening.get()
        pid = script.child.pid
        assert pid is not None
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
