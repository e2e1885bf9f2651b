"""Several workers behind one HTTP port: starts them, restarts what crashes, ends them together.

The kernel spreads the connections (SO_REUSEPORT); each worker has a UDP port of its own, a tag that is part
of its calls' ids, and a unix socket through which the others reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vivavoz import serve, worker
from vivavoz.application import Application, wanted
from vivavoz.assembly import Plan
from vivavoz.children import CANNOT_START, Child
from vivavoz.cluster.directory import worker_tag
from vivavoz.config import Config, Secrets
from vivavoz.engines.build import shared_processes
from vivavoz.engines.ports import EngineError

if TYPE_CHECKING:
    from vivavoz.engines.embedded.engines import EngineProcesses

log = logging.getLogger("vivavoz.supervisor")

_PATIENCE_S = 5.0
"""How much longer than the drain a worker may take before it is killed."""


def supervise(config: Config, secrets: Secrets) -> int:
    """Run until asked to end; the exit code. Raises ConfigError."""
    with contextlib.ExitStack() as stack:
        config = stack.enter_context(_reserved_port(config))
        folder = Path(tempfile.mkdtemp(prefix=f"vivavoz-workers-{os.getpid()}-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        supervisor = Supervisor(config, secrets, folder)
        worker.run_in_loop(supervisor.run())
        return supervisor.status


@contextlib.contextmanager
def _reserved_port(config: Config) -> Iterator[Config]:
    """Hold the HTTP port for all workers, so that it stays the same however they come and go. A socket that
    is bound and does not listen gets no connections."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        config.server.host, config.server.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # Without SO_REUSEPORT first: another service of this user's on the port must not be joined.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, address, config)
        port = int(probe.getsockname()[1])
        address = (address[0], port, *address[2:])
    with socket.socket(family, kind, protocol) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(holder, address, config)
        server = msgspec.structs.replace(config.server, port=port, udp_port=_first_udp_port(config, port))
        yield msgspec.structs.replace(config, server=server)


def _bind(listener: socket.socket, address: tuple[object, ...], config: Config) -> None:
    try:
        listener.bind(address)
    except OSError as error:
        raise worker.cannot_bind("TCP", config.server.host, config.server.port, error, "--port") from error


def _first_udp_port(config: Config, port: int) -> int:
    if config.server.udp_port is not None:
        return config.server.udp_port
    # A port of the kernel's choice says nothing about its neighbours: those are left to the kernel too.
    return 0 if config.server.port == 0 else port


class Supervisor:
    """The parent process."""

    def __init__(self, config: Config, secrets: Secrets, folder: Path) -> None:
        """``folder``: private (0700), for the workers' sockets."""
        self.status = 0
        self._config = config
        self._tags = [worker_tag(index) for index in range(config.server.workers)]
        self._sockets = {tag: str(folder / f"{tag}.sock") for tag in self._tags}
        self._workers = [
            Child(f"worker {tag}", "vivavoz.worker", functools.partial(self._plan, index), self._on_listening)
            for index, tag in enumerate(self._tags)
        ]
        self._application: Application | None = None
        if wanted(config):
            self._application = Application(config, secrets, folder, self._sockets.values())
        self._engine_sockets: dict[str, str] = {}
        self._listening = 0
        self._ending = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        processes = await self._start_engines()
        try:
            await self._keep_all()
        finally:
            for owned in processes:
                await owned.stop()

    async def _start_engines(self) -> list[EngineProcesses]:
        """The engine processes that all workers share, by set."""
        started = []
        for name in self._config.engine_sets_in_use():
            processes = shared_processes(self._config.engine_set(name))
            if processes is None:
                continue
            try:
                await processes.start()
            except EngineError as error:
                # The workers find the same, serve without it, and show why.
                log.error("engines %s: %s", name, error.message)
                continue
            started.append(processes)
            self._engine_sockets[name] = str(processes.directory)
        return started

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(child)) for child in self._workers]
            if self._application is not None:
                self._application.start(group)
            await self._ending.wait()
            for child in self._workers:
                child.end()
            patience = self._config.server.drain_seconds + _PATIENCE_S
            _, late = await asyncio.wait(keepers, timeout=patience)
            for child in self._workers if late else ():
                child.kill()
            if self._application is not None:
                # After the calls, so that it sees how they ended.
                await self._application.end()

    def _end(self) -> None:
        if self._ending.is_set():
            log.warning("asked to end a second time: ending at once")
            for child in self._workers:
                child.kill()
        self._ending.set()

    async def _keep(self, child: Child) -> None:
        code = await child.keep()
        if code == CANNOT_START:
            # The same configuration would fail the same way in every worker.
            self.status = code
            self._ending.set()

    def _plan(self, index: int) -> Plan:
        server = self._config.server
        udp_port = server.udp_port + index if server.udp_port else 0
        tcp_port = server.tcp_media_port + index if server.tcp_media_port else server.tcp_media_port
        config = msgspec.structs.replace(
            self._config,
            server=msgspec.structs.replace(server, udp_port=udp_port, tcp_media_port=tcp_port),
        )
        return Plan(
            config=config,
            tag=self._tags[index],
            sockets=self._sockets,
            application=self._application.beside if self._application is not None else None,
            offers_local_models=index == 0,
            engine_sockets=self._engine_sockets,
        )

    def _on_listening(self) -> None:
        self._listening += 1
        if self._listening == len(self._tags):
            serve.announce_listening(self._config, self._config.server.port)
