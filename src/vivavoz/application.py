"""The application's process beside the workers: its socket, its key, and what it is told."""

from __future__ import annotations

import asyncio
import logging
import secrets as random
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from vivavoz.app.plan import Plan, Service
from vivavoz.assembly import Beside
from vivavoz.children import Child
from vivavoz.config import Config, Secrets

log = logging.getLogger("vivavoz.supervisor")

_PATIENCE_S = 10.0
"""How long it may take to finish what it is writing once the calls are over."""


class Application:
    """Started again when it ends; calls go on meanwhile, and it finds them again."""

    def __init__(self, config: Config, secrets: Secrets, folder: Path, workers: Iterable[str]) -> None:
        """``folder``: private (0700). ``workers``: their unix sockets."""
        self.beside = Beside(socket=str(folder / "application.sock"), key=random.token_urlsafe(32))
        self._config = config
        self._secrets = secrets
        self._workers = tuple(workers)
        self._child = Child("the application", "vivavoz.app", self._plan)
        self._keeping: asyncio.Task[None] | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Once the service listens: what it does first is nothing that a caller waits for."""
        self._keeping = group.create_task(self._keep(), name="application")

    async def _keep(self) -> None:
        if await self._child.keep():
            log.error("the application cannot start (see above): the service goes on without it")

    async def end(self) -> None:
        """Ask it to end; returns when it has, killed where it takes too long."""
        self._child.end()
        if self._keeping is not None and not (await asyncio.wait([self._keeping], timeout=_PATIENCE_S))[0]:
            log.warning("the application takes too long to end: killing it")
            self._child.kill()
            await self._keeping

    def _plan(self) -> Plan:
        server, app = self._config.server, self._config.app
        if server.page == "open":
            app = replace(app, access=replace(app.access, open=True))
        # The names that the service answers to are the application's as well.
        app = replace(app, access=replace(app.access, hosts=(*app.access.hosts, *server.allowed_hosts)))
        if server.strict_azure and app.model is None:
            app = replace(app, model=self._config.default_model)
        return Plan(
            app=app,
            state_dir=str(self._config.state_dir),
            log_level=server.log_level,
            socket=self.beside.socket,
            page=app.upstream != "vivavoz",
            service=Service(sockets=self._workers, key=self.beside.key, strict_azure=server.strict_azure),
            operator_keys=self._secrets.api_keys,
            keyless=not self._secrets.api_keys and self._config.entra.jwks is None,
        )


def wanted(config: Config) -> bool:
    """Whether there is an application at all."""
    return config.server.page != "off"
