"""The virtual clock keeps asyncio's promises: order, timeouts, threads, and no silent hang."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import pytest

from virtual_time import Deadlock, run_virtual


def test_an_hour_takes_no_time() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main()) == pytest.approx(3600)
    assert time.monotonic() - began < 60


def test_timers_fire_in_their_order_and_at_their_times() -> None:
    seen: list[tuple[str, float]] = []

    async def nap(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(nap("late", 0.3))
            group.create_task(nap("early", 0.1))
            group.create_task(nap("middle", 0.2))

    run_virtual(main())
    assert [name for name, _ in seen] == ["early", "middle", "late"]
    assert [at for _, at in seen] == pytest.approx([0.1, 0.2, 0.3])


def test_a_timeout_is_a_timeout() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(5)


def test_waiting_for_nothing_is_a_deadlock_that_says_where() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="never"):
        run_virtual(never())


def test_a_deadlock_still_runs_the_cleanup_of_what_waits() -> None:
    cleaned: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append("yes")

    with pytest.raises(Deadlock):
        run_virtual(main())
    assert cleaned == ["yes"]


def test_an_endless_timer_meets_the_limit() -> None:
    async def main() -> None:
        for _ in itertools.count():
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError, match="10 s"):
        run_virtual(main(), limit_s=10)


def test_the_clock_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        gate = threading.Event()
        work = asyncio.create_task(asyncio.to_thread(gate.wait, 10))
        await asyncio.sleep(0)
        gate.set()
        assert await work
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0.0
