"""A caller that vanishes in the middle of an answer, without a goodbye."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from faults.conftest import Calls
from running import Running

NOTICED_S = 5.0
"""What the media path promises; a busy machine may take twice as long to show it."""


@pytest.mark.parametrize("callers", [3])
async def test_it_is_noticed_and_everything_of_it_is_freed(
    service: Running, calls: Calls, callers: int
) -> None:
    other = await calls.talker()
    vanishing = [await _start(service) for _ in range(callers)]
    await asyncio.to_thread(service.wait_for_calls, 1 + callers)

    killed = time.monotonic()
    for process in vanishing:
        process.kill()
        await process.wait()
    await asyncio.to_thread(service.wait_for_calls, 1, 2 * NOTICED_S)

    assert time.monotonic() - killed < 2 * NOTICED_S
    await other.talks_on()


async def _start(service: Running) -> asyncio.subprocess.Process:
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "faults.vanishing",
        service.url,
        str(service.key),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"},
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"audible\n"
    return process
