"""A worker's end of one engine process: opens jobs, notices when the process stalls or dies, connects again.

The socket is bound by the supervisor and outlives the process behind it, so a worker that connects while the
process is being restarted simply waits in the backlog until the new one greets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

from vivavoz.engines.ports import EngineError
from vivavoz.engines.process import protocol
from vivavoz.engines.process.heartbeat import Heartbeat, Timing
from vivavoz.engines.process.protocol import (
    Ack,
    Cancel,
    Done,
    Failed,
    Feed,
    Finish,
    Keep,
    Kept,
    Open,
    Ping,
    Pong,
    ProtocolError,
    Result,
    State,
)

log = logging.getLogger(__name__)


class EngineClient:
    """One connection, kept up while started, shared by all jobs of this worker."""

    def __init__(
        self,
        path: Path,
        name: str,
        timing: Timing | None = None,
        on_stall: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._path = path
        self._timing = timing or Timing()
        self._on_stall = on_stall
        self._numbers = itertools.count(1)
        self._jobs: dict[int, _Job] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._state: State | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State | None:
        """What the process last said; None while there is no connection."""
        return self._state

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_connected(), name=f"{self.name} client")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def settled(self, timeout_s: float) -> State:
        """The state once it is ready or failed. Raises EngineError (``engine_unavailable``) after that."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._state is None or self._state.state == "loading":
                    self._changed.clear()
                    await self._changed.wait()
                return self._state
        except TimeoutError:
            raise EngineError(
                f"the {self.name} engine did not become ready in {timeout_s:.0f} s", "engine_unavailable"
            ) from None

    async def stream(
        self,
        method: str,
        options: Any,
        inputs: AsyncIterator[Any] | None = None,
        tentative: Trial | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Run one job: feed it ``inputs``, yield its results. Closing the generator cancels the job at once.
        ``tentative``: what may yet want it.

        Raises EngineError: ``engine_unavailable`` (gone, or not back in time), ``engine_stalled``,
        ``engine_busy``, or what the engine itself says.
        """
        job = await self._open(method, options, tentative is not None)
        if tentative is not None:
            tentative.job = job
        feeder = asyncio.create_task(self._feed(job, inputs)) if inputs is not None else None
        try:
            while (data := await job.next()) is not _END:
                yield data
                self._send(Ack(job.number, 1))
        finally:
            if feeder is not None:
                feeder.cancel()
            if self._jobs.pop(job.number, None) is not None:
                self._send(Cancel(job.number))
            job.settle(kept=False)
            if feeder is not None:
                await asyncio.gather(feeder, return_exceptions=True)

    def tentative(self) -> Trial:
        """For one job that may be in vain."""
        return Trial(self)

    async def keep(self, job: _Job) -> bool:
        """Whether a tentative job is there to be wanted; from now on it is like any other."""
        self._send(Keep(job.number))
        return await job.kept

    # ---------------------------------------------------------------- jobs

    async def _open(self, method: str, options: Any, tentative: bool) -> _Job:
        state = await self.settled(self._timing.ready_s)
        if state.state == "failed":
            raise EngineError(state.message, state.code)
        job = _Job(next(self._numbers))
        try:
            frame = protocol.pack(Open(job.number, method, options, tentative))
        except ProtocolError as error:
            raise EngineError(
                "the conversation is too large for the engine", "engine_input_too_large"
            ) from error
        self._jobs[job.number] = job
        self._write(frame)
        return job

    async def _feed(self, job: _Job, inputs: AsyncIterator[Any]) -> None:
        try:
            async for data in inputs:
                self._send(Feed(job.number, data))
                if self._writer is not None:
                    with contextlib.suppress(OSError):
                        await self._writer.drain()
            self._send(Finish(job.number))
        except Exception as error:  # the giver's failure is the job's
            job.fail(error)

    def _send(self, message: protocol.ToEngine) -> None:
        self._write(protocol.pack(message))

    def _write(self, frame: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame)

    def _fail_all(self, message: str, code: str) -> None:
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.fail(EngineError(message, code))

    # ---------------------------------------------------------------- the connection

    async def _keep_connected(self) -> None:
        try:
            while True:
                try:
                    await self._connection()
                except (OSError, EOFError):
                    pass
                except ProtocolError as error:
                    log.error("the %s engine broke the protocol: %s", self.name, error)
                self._lost(f"the {self.name} engine stopped while it was working", "engine_unavailable")
                await asyncio.sleep(self._timing.reconnect_s)
        finally:
            self._lost(f"the {self.name} engine was shut down", "engine_unavailable")

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path)
        self._writer = writer
        heartbeat = Heartbeat(self._timing)
        watch = asyncio.create_task(self._watch(heartbeat, writer))
        try:
            while True:
                message = await protocol.read_to_worker(reader)
                heartbeat.heard()
                self._receive(message)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            writer.transport.abort()

    def _receive(self, message: protocol.ToWorker) -> None:
        match message:
            case Result(job=number, data=data):
                if (job := self._jobs.get(number)) is not None:
                    job.results.put_nowait(data)
            case Kept(job=number):
                if (job := self._jobs.get(number)) is not None:
                    job.settle(kept=True)
            case Done(job=number):
                if (job := self._jobs.pop(number, None)) is not None:
                    job.end()
            case Failed(job=number, code=code, message=text):
                if (job := self._jobs.pop(number, None)) is not None:
                    job.fail(EngineError(text, code))
            case State():
                self._state = message
                self._changed.set()
            case Pong():
                pass

    async def _watch(self, heartbeat: Heartbeat, writer: asyncio.StreamWriter) -> None:
        """Ping; when the process does not answer, fail the jobs by name and drop the connection."""
        while heartbeat.beat(loading=self._state is None or self._state.state == "loading"):
            self._send(Ping())
            await asyncio.sleep(self._timing.ping_s)
        log.warning("the %s engine does not answer", self.name)
        self._lost(f"the {self.name} engine does not answer", "engine_stalled")
        writer.transport.abort()
        if self._on_stall is not None:
            self._on_stall()

    def _lost(self, message: str, code: str) -> None:
        self._writer = None
        self._state = None
        self._changed.set()
        self._fail_all(message, code)


class Trial:
    """One job that may be in vain (:class:`~vivavoz.engines.ports.Tentative`)."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self.job: _Job | None = None

    def stream(
        self, method: str, options: Any, inputs: AsyncIterator[Any] | None = None
    ) -> AsyncGenerator[Any, None]:
        return self._client.stream(method, options, inputs, tentative=self)

    async def keep(self) -> bool:
        return self.job is not None and await self._client.keep(self.job)


class _Job:
    """One job as the worker sees it. Its queue is bounded by the protocol's window."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.results: asyncio.Queue[Any] = asyncio.Queue()
        self.kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        self.results.put_nowait(_END)
        self.settle(kept=True)

    def fail(self, error: Exception) -> None:
        self.results.put_nowait(error)
        self.settle(kept=False)

    def settle(self, *, kept: bool) -> None:
        """What is to be said to whoever wants a tentative job; the first word counts."""
        if not self.kept.done():
            self.kept.set_result(kept)

    async def next(self) -> Any:
        data = await self.results.get()
        if isinstance(data, Exception):
            raise data
        return data


_END = object()


__all__ = ["EngineClient", "Timing", "Trial"]
