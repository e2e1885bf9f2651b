"""An event loop whose clock jumps to the next timer whenever nothing else is left to do.

``run_virtual(coro)`` runs a coroutine as ``asyncio.run`` does, but ``asyncio.sleep(3600)`` takes no time and
every run takes the same steps. When all tasks wait for something that no timer and no thread can bring,
:class:`Deadlock` is raised with the place where each of them waits, instead of a test that hangs.

Meant for code that waits for timers, events, queues and threads (``asyncio.to_thread``: while one works, the
clock stands still). Sockets are polled but never waited for: use a real loop for those.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

THREAD_LIMIT_S = 30.0
"""Longest real time that a thread may keep the loop waiting (s)."""


class Deadlock(AssertionError):
    """Every task waits, and nothing is left that could wake one."""


class _JumpingSelector:
    """A selector that never blocks: what would be waited for is added to the loop's clock instead."""

    def __init__(self, real: selectors.BaseSelector) -> None:
        self._real = real
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(0)
        if events or self.loop is None or (timeout is not None and timeout <= 0):
            return events
        if self.loop.threads_busy:
            events = self._real.select(THREAD_LIMIT_S)
            if not events:
                raise Deadlock(f"a thread did not finish within {THREAD_LIMIT_S:g} s")
            return events
        if timeout is None:
            raise Deadlock(self.loop.describe_waiting())
        self.loop.advance(timeout)
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0.0 and moves only when the loop is idle."""

    def __init__(self, limit_s: float = float("inf")) -> None:
        self._now = 0.0
        self.limit_s = limit_s
        self.threads_busy = 0
        selector = _JumpingSelector(selectors.DefaultSelector())
        super().__init__(selector)  # type: ignore[arg-type]
        selector.loop = self

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        # A sum of floats can fall short of the timer by one bit; the timer itself is exact.
        target = self._now + seconds
        scheduled = getattr(self, "_scheduled", None)
        if scheduled and abs(scheduled[0].when() - target) < 1e-6:
            target = scheduled[0].when()
        if target > self.limit_s:
            raise TimeoutError(f"virtual time passed {self.limit_s:g} s")
        self._now = max(self._now, target)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.threads_busy += 1

        def done(_: object) -> None:
            self.threads_busy -= 1

        future.add_done_callback(done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        # Joins a thread that reports back through the self-pipe; the clock must not jump past it.
        self.threads_busy += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.threads_busy -= 1

    def describe_waiting(self) -> str:
        lines = [f"deadlock at t={self._now:.3f} s; every task waits:"]
        for task in asyncio.all_tasks(self):
            frames = task.get_stack()
            where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "?"
            lines.append(f"  {task.get_name()} ({task.get_coro()!r}) at {where}")
        return "\n".join(lines)


def run_virtual(coro: Coroutine[Any, Any, T], *, limit_s: float = 24 * 3600.0) -> T:
    """Run ``coro`` to its end in virtual time and return its result.

    ``limit_s`` bounds the virtual time (an endless timer would otherwise spin for ever): past it
    ``TimeoutError`` is raised. Raises :class:`Deadlock`, or what ``coro`` raises. Like ``asyncio.run`` it
    cancels what is still running at the end.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(limit_s)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        try:
            return runner.run(coro)
        except (Deadlock, TimeoutError):
            loop.limit_s = float("inf")  # let what is cancelled now clean up
            raise
