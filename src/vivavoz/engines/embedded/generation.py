"""One request to llama.cpp, from an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

from vivavoz.engines.ports import EngineError
from vivavoz.engines.process.threads import leave

_SILENT_S = 60.0
"""No token and no progress for so long: the model hangs."""


class Generation:
    """One run of the model, in a thread of its own: llama.cpp queues and batches them itself."""

    def __init__(self, server: Any, request: dict[str, Any], method: str = "handle_chat_completions") -> None:
        """``method``: of the library's server."""
        self._handle = getattr(server, method)
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[dict[str, Any] | Exception | None] = asyncio.Queue()
        self._cancelled = False
        self.ended = asyncio.Event()
        """The model does no more for it, which may be a batch later than it was told to stop."""

    async def chunks(self) -> Any:
        """What the library streams. Closing the generator stops the model at its next token or batch."""
        thread = threading.Thread(target=self._run, name="llm", daemon=True)
        thread.start()
        try:
            while True:
                try:
                    async with asyncio.timeout(_SILENT_S):
                        chunk = await self._arrived.get()
                except TimeoutError:
                    leave()
                    raise EngineError("the language model hangs", "engine_stalled") from None
                if chunk is None:
                    return
                if isinstance(chunk, Exception):
                    raise EngineError(f"the language model failed ({type(chunk).__name__})")
                yield chunk
        finally:
            self._cancelled = True

    def _run(self) -> None:
        try:
            self._handle(self._request, self._arrive)
            self._tell(None)
        except Exception as error:  # whatever the library raises belongs to the reply
            self._tell(error)
        finally:
            self._in_loop(self.ended.set)

    def _arrive(self, chunk: Any) -> bool:
        """Called by the library for every token and every batch of the prompt; True stops it."""
        if not self._cancelled:
            self._tell(chunk if isinstance(chunk, dict) else json.loads(chunk))
        return self._cancelled

    def _tell(self, chunk: dict[str, Any] | Exception | None) -> None:
        self._in_loop(lambda: self._arrived.put_nowait(chunk))

    def _in_loop(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever listened
            self._loop.call_soon_threadsafe(callback)
