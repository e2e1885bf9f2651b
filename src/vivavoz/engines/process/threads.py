"""Threads for blocking model calls, each call with a limit: a model that hangs takes its process down.

A thread that hangs inside native code cannot be ended, and whatever waits behind it would hang too. So the
process says goodbye instead; its supervisor starts it anew and the running jobs fail by name.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from vivavoz.engines.ports import EngineError

log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

HUNG = 70
"""Exit status of a process whose model hung."""


def leave() -> None:
    """End this process now, whatever its threads do."""
    os._exit(HUNG)


class ModelThreads:
    """``threads`` threads, served in the order of the calls, so that jobs that submit clause by clause or
    segment by segment take turns. Safe to use from one event loop."""

    def __init__(
        self, name: str, threads: int = 1, limit_s: float = 30.0, on_hang: Callable[[], None] = leave
    ) -> None:
        self._name = name
        self._limit_s = limit_s
        self._on_hang = on_hang
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``call`` in a thread. A cancelled wait drops the call where it has not begun, and its result
        where it has. Raises EngineError (``engine_stalled``) where it takes longer than the limit."""
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()

        def call_it() -> _T:
            loop.call_soon_threadsafe(_settle, begun)
            return call(*args, **kwargs)

        result = loop.run_in_executor(self._pool, call_it)
        try:
            # Waiting its turn is not the model's fault: the limit runs from the beginning of the call.
            await asyncio.wait((begun, result), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((result,), timeout=self._limit_s)
        finally:
            begun.cancel()
            result.cancel()  # drops a call that has not begun; no effect on a finished one
        if result.cancelled():
            log.error("%s: no answer from the model in %.0f s", self._name, self._limit_s)
            self._on_hang()
            raise EngineError("the model hangs; its process is restarted", "engine_stalled")
        return result.result()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
