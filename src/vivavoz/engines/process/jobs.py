"""The jobs of an engine process, and which of them goes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from vivavoz.engines.process.protocol import INPUT_LIMIT, WINDOW, Failed, Result, ToWorker

_END = object()


class Job:
    """One job as the engine sees it."""

    def __init__(self, number: int, send: Callable[[ToWorker], None]) -> None:
        self.number = number
        self.task: asyncio.Task[None] | None = None
        """There once it is started."""
        self._send = send
        self._inputs: asyncio.Queue[Any] = asyncio.Queue()
        self._window = asyncio.Semaphore(WINDOW)

    async def inputs(self) -> AsyncIterator[Any]:
        """What the worker feeds, until it finishes."""
        while (data := await self._inputs.get()) is not _END:
            yield data

    async def send(self, data: Any) -> None:
        """A result; waits while the worker is too far behind."""
        await self._window.acquire()
        self._send(Result(self.number, data))

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done() and not self.task.cancelling()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def give_way(self) -> None:
        """Stop at once: there is something better to do."""
        if self.running:
            self.cancel()
            self._send(Failed(self.number, "engine_busy", "the engine has something better to do"))

    def fed(self, data: Any) -> bool:
        """False: more is waiting than the engine may owe."""
        if self._inputs.qsize() >= INPUT_LIMIT:
            return False
        self._inputs.put_nowait(data)
        return True

    def finished(self) -> None:
        self._inputs.put_nowait(_END)

    def acknowledged(self, count: int) -> None:
        for _ in range(min(count, WINDOW)):
            self._window.release()


class Precedence:
    """Work that may be in vain makes way for work that somebody waits for. There is one piece of it at a
    time, and only while nothing else is done."""

    def __init__(self) -> None:
        self._wanted: set[Job] = set()
        self._tentative: Job | None = None

    @property
    def occupied(self) -> bool:
        self._wanted = {job for job in self._wanted if job.running}
        return bool(self._wanted) or (self._tentative is not None and self._tentative.running)

    def attempt(self, job: Job) -> None:
        """Let it run until somebody wants something else."""
        self._tentative = job

    def keep(self, job: Job) -> bool:
        """Whether it still runs, as one like any other from now on."""
        if job is not self._tentative or not job.running:
            return False
        self._tentative = None
        self.want(job)
        return True

    def want(self, job: Job) -> None:
        self._wanted = {job, *(each for each in self._wanted if each.running)}

    def make_way(self) -> None:
        """Something comes that somebody waits for."""
        tentative, self._tentative = self._tentative, None
        if tentative is not None:
            tentative.give_way()
