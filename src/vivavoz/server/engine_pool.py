"""The engine sets of one worker: loading while HTTP already answers, and found by model name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from vivavoz.config import Config
from vivavoz.engines.ports import EngineError, Engines, EngineStatus

log = logging.getLogger("vivavoz.engines")


class NotReady(Exception):
    """The engines of a model still load (``failed`` False), or could not be loaded."""

    def __init__(self, set_name: str, failed: bool) -> None:
        super().__init__(set_name)
        self.set_name = set_name
        self.failed = failed


class EnginePool:
    """Starts every set at once; a set that fails leaves the others alone."""

    def __init__(self, config: Config, sets: Mapping[str, Engines]) -> None:
        """``sets``: not started yet, by the names that ``config.engine_set_of`` gives."""
        self._config = config
        self._sets = dict(sets)
        self._done = {name: asyncio.Event() for name in self._sets}
        self._failures: dict[str, EngineError] = {}

    def known(self, model: str) -> bool:
        return self._config.engine_set_of(model) is not None

    def engines_for(self, model: str) -> Engines:
        """The set of ``model``. Raises KeyError for an unknown model."""
        name = self._config.engine_set_of(model)
        if name is None:
            raise KeyError(model)
        return self._sets[name]

    def ready(self, model: str) -> bool:
        """Whether the engines of ``model`` can serve a call now."""
        name = self._config.engine_set_of(model)
        return name in self._done and self._done[name].is_set() and name not in self._failures

    async def wait_ready(self, model: str, timeout_s: float) -> None:
        """Returns when the engines of ``model`` can serve a call. Raises NotReady, KeyError."""
        name = self._config.engine_set_of(model)
        if name is None:
            raise KeyError(model)
        try:
            async with asyncio.timeout(timeout_s):
                await self._done[name].wait()
        except TimeoutError:
            raise NotReady(name, failed=False) from None
        if name in self._failures:
            raise NotReady(name, failed=True)

    @property
    def state(self) -> str:
        """``ready``, ``loading`` or ``failed``: of the default set, which most calls use."""
        name = self._config.default_engines
        if name in self._failures:
            return "failed"
        return "ready" if self._done[name].is_set() else "loading"

    def status(self) -> dict[str, list[EngineStatus]]:
        """The rows of every set. One that has not come so far as to have rows of its own says so in one."""
        return {name: self._rows(name, engines) for name, engines in self._sets.items()}

    def _rows(self, name: str, engines: Engines) -> list[EngineStatus]:
        rows = engines.status()
        if failure := self._failures.get(name):
            if not any(row.state == "failed" for row in rows):
                rows = [*rows, EngineStatus(task="llm", name=name, state="failed", detail=failure.message)]
        elif not self._done[name].is_set() and not any(row.state == "loading" for row in rows):
            rows = [*rows, EngineStatus(task="llm", name=name, state="loading")]
        return rows

    async def run(self) -> None:
        """Load, then stay until cancelled, then stop what was started."""
        try:
            async with asyncio.TaskGroup() as group:
                for name, engines in self._sets.items():
                    group.create_task(self._start(name, engines))
            await asyncio.Event().wait()
        finally:
            for name, engines in self._sets.items():
                try:
                    await engines.stop()
                except Exception:
                    log.exception("engines %s did not stop cleanly", name)

    async def _start(self, name: str, engines: Engines) -> None:
        started = asyncio.get_running_loop().time()
        try:
            await engines.start()
        except EngineError as error:
            self._failures[name] = error
            log.error("engines %s: %s", name, error.message)
        except Exception as error:
            self._failures[name] = EngineError(str(error))
            log.exception("engines %s could not be started", name)
        else:
            took = asyncio.get_running_loop().time() - started
            rows = ", ".join(f"{row.task} {row.name}" for row in engines.status())
            log.info("engines %s ready after %.1f s: %s", name, took, rows)
            for row in engines.status():
                if row.state != "ready":
                    log.warning(
                        "engines %s: %s %s is %s: %s", name, row.task, row.name, row.state, row.detail
                    )
        self._done[name].set()
