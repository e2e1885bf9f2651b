"""Owns the engine processes: starts them, watches their heartbeat, kills what stalls, restarts what died."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from vivavoz.engines.process.child import Spec, Start
from vivavoz.engines.process.client import EngineClient, Timing
from vivavoz.engines.process.protocol import State

log = logging.getLogger(__name__)

_PREFIX = "vivavoz-engines-"
_BACKOFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HEALTHY_S = 30.0
"""A process that lived so long starts its backoff from the beginning."""
_END_S = 3.0


class Supervisor:
    """A set of engine processes and the private directory (mode 0700) that holds their sockets."""

    def __init__(self, specs: Sequence[Spec], timing: Timing | None = None) -> None:
        self._specs = list(specs)
        self._timing = timing or Timing()
        self._directory: Path | None = None
        self.processes: dict[str, EngineProcess] = {}

    @property
    def directory(self) -> Path:
        """Where the sockets are (``<name>.sock``); there from ``start`` to ``stop``."""
        if self._directory is None:
            raise RuntimeError("the supervisor is not started")
        return self._directory

    async def start(self) -> None:
        """Bind the sockets and start the processes; they load in parallel. Returns before they are ready."""
        _sweep()
        self._directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_runtime_directory()))
        for spec in self._specs:
            process = EngineProcess(spec, self._directory / f"{spec.name}.sock", self._timing)
            self.processes[spec.name] = process
            await process.start()

    async def settled(self, timeout_s: float = 120.0) -> dict[str, State]:
        """Every process's state once it is ready or failed. Raises EngineError after the time."""
        names = list(self.processes)
        states = await asyncio.gather(*(self.processes[name].settled(timeout_s) for name in names))
        return dict(zip(names, states, strict=True))

    async def stop(self) -> None:
        """End all processes, within seconds, and remove the directory."""
        await asyncio.gather(*(process.stop() for process in self.processes.values()))
        self.processes.clear()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


class EngineProcess:
    """One engine process, restarted whenever it ends or stalls, until ``stop``."""

    def __init__(self, spec: Spec, path: Path, timing: Timing) -> None:
        self.spec = spec
        self.restarts = 0
        self._path = path
        self._listener: socket.socket | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._client = EngineClient(path, spec.name, timing, on_stall=self._stalled)
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running process, or None between two."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    @property
    def state(self) -> State | None:
        return self._client.state

    async def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(128)
        self._task = asyncio.create_task(self._keep_running(), name=f"{self.spec.name} process")
        await self._client.start()

    async def settled(self, timeout_s: float) -> State:
        return await self._client.settled(timeout_s)

    async def stop(self) -> None:
        await self._client.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        self._path.unlink(missing_ok=True)

    def _stalled(self) -> None:
        if self._child is not None and self._child.returncode is None:
            log.error("the %s engine (process %d) stalled: killed", self.spec.name, self._child.pid)
            self._child.kill()

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            said = await self._run_once()
            failures = 0 if time.monotonic() - began > _HEALTHY_S else failures + 1
            pause = _BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1] if failures else 0.0
            log.error("the %s engine ended (%s); restarting it in %.1f s", self.spec.name, said, pause)
            self.restarts += 1
            await asyncio.sleep(pause)

    async def _run_once(self) -> str:
        """Run the process to its end; says how it ended."""
        assert self._listener is not None
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "vivavoz.engines.process.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(self._listener.fileno(),),
        )
        self._child = child
        last_words: deque[str] = deque(maxlen=5)
        try:
            assert child.stdin is not None
            assert child.stderr is not None
            start = Start(
                spec=self.spec,
                listener=self._listener.fileno(),
                parent=os.getpid(),
                restart=self.restarts > 0,
            )
            child.stdin.write(msgspec.json.encode(start) + b"\n")
            async for line in _lines(child.stderr):
                # What libraries print once the engine serves may hold what was said: kept out of the log.
                if self.state is None or self.state.state != "ready":
                    last_words.append(line)
            status = await child.wait()
            return f"status {status}" + (f": {last_words[-1]}" if last_words and status > 0 else "")
        finally:
            await _end(child)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines of any length, each cut at 500 characters."""
    rest = b""
    while chunk := await stream.read(4096):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-4096:]
        for line in lines:
            yield line[:500].decode("utf-8", "replace")


async def _end(child: asyncio.subprocess.Process) -> None:
    """The pipe's end asks it to leave; a process that does not is killed. It is always reaped."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            await child.wait()
    except (TimeoutError, asyncio.CancelledError) as reason:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        if isinstance(reason, asyncio.CancelledError):
            raise


def _runtime_directory() -> str | None:
    """The user's own runtime directory where there is one, else the system's for temporary files."""
    named = os.environ.get("XDG_RUNTIME_DIR")
    return named if named and os.access(named, os.W_OK) else None


def _sweep() -> None:
    """Remove the directories of supervisors that were killed."""
    base = Path(_runtime_directory() or tempfile.gettempdir())
    with contextlib.suppress(OSError):
        for directory in base.glob(f"{_PREFIX}*"):
            pid = directory.name.removeprefix(_PREFIX).partition("-")[0]
            if pid.isdigit() and directory.stat().st_uid == os.getuid() and not _alive(int(pid)):
                shutil.rmtree(directory, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
