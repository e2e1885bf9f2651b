"""A process of ours that is started with a plan, kept alive, and ended with its parent.

The plan goes to its standard input, one line of JSON (so that secrets in it show in no list of processes).
That pipe stays open: its end tells the child that the parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable

import msgspec

log = logging.getLogger("vivavoz.supervisor")

BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
HEALTHY_S = 30.0
"""A child that lived so long starts its backoff from the beginning."""
CANNOT_START = 2
"""Exit code of a child whose configuration keeps it from starting: it said why, and is not started again."""
_MAX_LINE = 2**20


class Child:
    """Started again whenever it ends, until :meth:`end`."""

    def __init__(
        self,
        name: str,
        module: str,
        plan: Callable[[], msgspec.Struct],
        on_listening: Callable[[], None] | None = None,
    ) -> None:
        """``module``: run with ``-m``. ``plan``: asked for at every start. ``on_listening``: the child wrote
        ``listening`` to its standard output."""
        self.name = name
        self._module = module
        self._plan = plan
        self._on_listening = on_listening
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None else None

    async def keep(self) -> int:
        """Run it again and again; 0 after :meth:`end`, ``CANNOT_START`` where it said so.

        Cancelling kills it.
        """
        failures = 0
        while not self._ending.is_set():
            began = time.monotonic()
            code = await self._run_once()
            if self._ending.is_set():
                break
            if code == CANNOT_START:
                return code
            failures = 0 if time.monotonic() - began > HEALTHY_S else failures + 1
            pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            log.error("%s ended (status %d); restarting it in %.1f s", self.name, code, pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ending.wait()
        return 0

    def end(self) -> None:
        """Ask it to end, and start it no more. Idempotent."""
        self._ending.set()
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._ending.set()
        self._send(signal.SIGKILL)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Signals of the terminal reach the parent alone, which passes them on.
            start_new_session=True,
            limit=_MAX_LINE,
        )
        self._process = process
        log.info("%s is process %d", self.name, process.pid)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            # One that has ended already is seen to have ended below (uvloop's pipe is closed by then).
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(msgspec.json.encode(self._plan()) + b"\n")
            if self._ending.is_set():
                self._send(signal.SIGTERM)
            while line := await process.stdout.readline():
                if line.strip() == b"listening" and self._on_listening is not None:
                    self._on_listening()
            return await process.wait()
        finally:
            if process.returncode is None:
                self._send(signal.SIGKILL)
                await process.wait()
            self._process = None

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
