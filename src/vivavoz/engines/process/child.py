"""The program that runs one engine: ``python -m vivavoz.engines.process.child``, started by the supervisor.

The first line on standard input says what to run; the pipe then stays open as long as the parent lives, and
its end ends this process. On Linux the kernel kills it as well when the parent dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from typing import Any

import msgspec

from vivavoz.engines.process.host import Host, Hosted

_PR_SET_PDEATHSIG = 1
_GRACE_S = 2.0


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    name: str
    """``stt``, ``llm``, ``tts``, ``turn``: names the socket, the threads and the log lines."""
    factory: str
    """``module:callable``; called with ``options`` as keyword arguments, gives a :class:`Hosted`."""
    options: dict[str, Any] = {}
    max_jobs: int = 64
    nice: int = 5
    """Added to the parent's: engines give way to the workers, which must keep time. The first time they load
    they do not, so that the service is ready soon."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The line on standard input."""

    spec: Spec
    listener: int
    """File descriptor of the listening socket; the parent keeps it across restarts."""
    parent: int
    restart: bool = False


def build(spec: Spec) -> Hosted:
    module, _, attribute = spec.factory.partition(":")
    engine: Hosted = getattr(importlib.import_module(module), attribute)(**spec.options)
    return engine


def main() -> None:
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    _die_with_parent(start.parent)
    # The terminal's Ctrl-C goes to the whole group; when we end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if start.restart:  # calls are going on: not even loading may disturb them
        _give_way(start.spec.nice)
    logging.basicConfig(level=logging.WARNING, format=f"{start.spec.name}: %(message)s")
    asyncio.run(_serve(start))
    # Native threads of the model libraries must not delay the end.
    os._exit(0)


async def _serve(start: Start) -> None:
    host = Host(_Late(start), start.spec.max_jobs)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, host.stop)
    watcher = threading.Thread(target=_watch_parent, args=(loop, host), name="parent", daemon=True)
    watcher.start()
    listener = socket.socket(fileno=start.listener)
    # What a library leaves lying when it is killed goes with the supervisor's directory.
    tempfile.tempdir = os.path.dirname(listener.getsockname())
    await host.run(listener)


class _Late:
    """Imports and builds the engine inside ``load``, off the loop, so that pings are answered meanwhile."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._engine: Hosted | None = None

    def load(self) -> None:
        engine = build(self._start.spec)
        engine.load()
        self._engine = engine
        if not self._start.restart:
            _give_way(self._start.spec.nice)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def _give_way(nice: int) -> None:
    """Lower the priority of all threads there are (Linux keeps one a thread); later ones inherit it."""
    threads = os.listdir("/proc/self/task") if sys.platform == "linux" else ["0"]
    target = os.getpriority(os.PRIO_PROCESS, 0) + nice
    for thread in threads:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, int(thread), target)


def _watch_parent(loop: asyncio.AbstractEventLoop, host: Host) -> None:
    while os.read(0, 4096):
        pass
    # It may be too late for the loop: then the timer ends us.
    threading.Timer(_GRACE_S, os._exit, (0,)).start()
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(host.stop)


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask
        os._exit(0)


if __name__ == "__main__":
    main()
