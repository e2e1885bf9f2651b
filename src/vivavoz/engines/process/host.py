"""The engine process's side of the socket: connections, jobs, heartbeats.

Everything here runs on one event loop, the process's IO thread. Models run in threads of their own
(:mod:`vivavoz.engines.process.threads`) and release the interpreter lock while they compute, so that a busy
model still answers pings and a stalled process does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from vivavoz.engines.ports import (
    EngineError,
    Llm,
    SpeechOptions,
    Stt,
    SttOptions,
    Tts,
    TurnDetector,
)
from vivavoz.engines.process import codec, protocol
from vivavoz.engines.process.jobs import Job, Precedence
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
    State,
    ToWorker,
)

log = logging.getLogger(__name__)


class Hosted(Protocol):
    """An engine that runs in an engine process; it implements one of the ports as well."""

    def load(self) -> None:
        """Load and warm the model. Blocking, called in a thread. Raises EngineError where it cannot."""
        ...

    def close(self) -> None:
        """Let go of the model; nothing runs any more."""
        ...


class Host:
    """Serves one engine to any number of workers, at most ``max_jobs`` jobs at a time."""

    def __init__(self, engine: Hosted, max_jobs: int) -> None:
        self._engine = engine
        self._max_jobs = max_jobs
        self._jobs: set[asyncio.Task[None]] = set()
        self._precedence = Precedence()
        self._connections: set[_Connection] = set()
        self._state = State("loading")
        self._stopping = asyncio.Event()

    async def run(self, listener: socket.socket) -> None:
        """Listen at once, load meanwhile, serve until :meth:`stop`."""
        server = await asyncio.start_unix_server(self._connected, sock=listener)
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(self._load())
            await self._stopping.wait()
            loading.cancel()
        server.close()
        for connection in list(self._connections):
            connection.close()
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        self._engine.close()

    def stop(self) -> None:
        self._stopping.set()

    @property
    def state(self) -> State:
        return self._state

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._engine.load)
            self._state = State("ready")
        except EngineError as error:
            self._state = State("failed", error.code, error.message)
        except Exception as error:  # whatever a model library throws: this engine cannot serve
            log.exception("the engine failed to load")
            self._state = State(
                "failed", "engine_failed", f"the engine failed to load ({type(error).__name__})"
            )
        for connection in self._connections:
            connection.send(self._state)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def launch(self, job: Job, opened: Open, send: Callable[[ToWorker], None]) -> bool:
        """Start a job, or say why not."""
        if self._state.state != "ready":
            code = self._state.code or "engine_unavailable"
            send(Failed(job.number, code, self._state.message or "the engine is still loading"))
            return False
        wanted = not opened.tentative and opened.method not in _IN_PASSING
        if wanted:
            self._precedence.make_way()
        # A cancelled job needs a moment to end; the next one need not wait for it.
        running = sum(not task.cancelling() for task in self._jobs)
        if running >= self._max_jobs or (opened.tentative and self._precedence.occupied):
            send(Failed(job.number, "engine_busy", f"the engine is busy with {running} jobs"))
            return False
        job.task = task = asyncio.create_task(self._serve(job, opened, send))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        if opened.tentative:
            self._precedence.attempt(job)
        elif wanted:
            self._precedence.want(job)
        return True

    def keep(self, job: Job) -> bool:
        """Whether a tentative job is there to be wanted; it is then."""
        return self._precedence.keep(job)

    async def _serve(self, job: Job, opened: Open, send: Callable[[ToWorker], None]) -> None:
        try:
            await _METHODS[opened.method](self._engine, job, opened.options)
            send(Done(job.number))
        except EngineError as error:
            send(Failed(job.number, error.code, error.message))
        except Exception as error:  # a bug in an engine fails its job, not the others
            # Without the message: it may hold what was said.
            log.error("%s failed: %s", opened.method, type(error).__name__)
            send(Failed(job.number, "engine_failed", f"the engine failed ({type(error).__name__})"))


class _Connection:
    """One worker."""

    def __init__(self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._jobs: dict[int, Job] = {}

    def send(self, message: ToWorker) -> None:
        if not self._writer.is_closing():
            self._writer.write(protocol.pack(message))

    def close(self) -> None:
        self._writer.close()

    async def run(self) -> None:
        self.send(self._host.state)
        try:
            while True:
                self._receive(await protocol.read_to_engine(self._reader))
        except (EOFError, OSError):
            pass  # the worker is gone
        except ProtocolError as error:
            log.error("a worker broke the protocol: %s", error)
        finally:
            for number in list(self._jobs):
                self._drop(number)
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def _receive(self, message: protocol.ToEngine) -> None:
        match message:
            case Open(job=number):
                self._open(number, message)
            case Feed(job=number, data=data):
                job = self._jobs.get(number)
                if job is not None and not job.fed(data):
                    self._drop(number)
                    self.send(Failed(number, "engine_busy", "the engine cannot keep up with the input"))
            case Finish(job=number):
                if (job := self._jobs.get(number)) is not None:
                    job.finished()
            case Keep(job=number):
                if (job := self._jobs.get(number)) is not None and self._host.keep(job):
                    self.send(Kept(number))
            case Ack(job=number, count=count):
                if (job := self._jobs.get(number)) is not None:
                    job.acknowledged(count)
            case Cancel(job=number):
                self._drop(number)
            case Ping():
                self.send(Pong())

    def _open(self, number: int, message: Open) -> None:
        if number in self._jobs or message.method not in _METHODS:
            raise ProtocolError(f"job {number}: {message.method}")
        job = Job(number, self.send)
        if self._host.launch(job, message, self.send) and job.task is not None:
            self._jobs[number] = job
            job.task.add_done_callback(lambda _: self._jobs.pop(number, None))

    def _drop(self, number: int) -> None:
        if (job := self._jobs.pop(number, None)) is not None:
            job.cancel()


# --------------------------------------------------------------------------- one method a port


async def _transcribe(engine: Stt, job: Job, options: Any) -> None:
    transcripts = engine.transcribe(job.inputs(), msgspec.convert(options, SttOptions))
    await _pass_on(transcripts, codec.encode_transcript, job)


async def _reply(engine: Llm, job: Job, options: Any) -> None:
    await _pass_on(engine.reply(*codec.decode_reply(options)), codec.encode_delta, job)


async def _prepare(engine: Any, job: Job, options: Any) -> None:
    if (prepare := getattr(engine, "prepare", None)) is not None:
        await prepare(*codec.decode_reply(options))


async def _count(engine: Any, job: Job, options: Any) -> None:
    if (count := getattr(engine, "count", None)) is None:
        raise EngineError("the engine does not count", "engine_absent")
    await job.send(codec.encode_counted(await count(*codec.decode_reply(options))))


async def _synthesize(engine: Tts, job: Job, options: Any) -> None:
    speech = engine.synthesize(job.inputs(), msgspec.convert(options, SpeechOptions))
    await _pass_on(speech, codec.encode_speech, job)


async def _judge(engine: TurnDetector, job: Job, options: Any) -> None:
    await job.send(await engine.judge(options))


async def _pass_on(results: Any, encode: Callable[[Any], Any], job: Job) -> None:
    """``results``: an async generator, which is closed with the job, not just dropped."""
    async with contextlib.aclosing(results):
        async for result in results:
            await job.send(encode(result))


_IN_PASSING = ("prepare", "count")
"""These nobody waits for: no tentative job makes way for them."""

_METHODS: dict[str, Callable[[Any, Job, Any], Awaitable[None]]] = {
    "transcribe": _transcribe,
    "reply": _reply,
    "prepare": _prepare,
    "count": _count,
    "synthesize": _synthesize,
    "judge": _judge,
}
