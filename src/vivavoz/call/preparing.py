"""Letting the language model work ahead: it reads a session's instructions before anybody speaks, and what
the caller has said before it is sure that this was all; it may even begin to answer that.

A small model on a CPU reads some seventy tokens a second: instructions it has not seen would delay the first
answer by seconds, a question by a quarter of one. Nothing depends on this: it may fail, or never be done.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from vivavoz.call.options import reply_options
from vivavoz.call.speculation import Speculation
from vivavoz.engines.ports import EngineError, Engines
from vivavoz.session.effects import Prepare, Reply
from vivavoz.session.tools import offer
from vivavoz.wire.options import SessionOptions
from vivavoz.wire.translation import TranslationOptions

log = logging.getLogger("vivavoz.call.preparing")


class Preparing:
    """One call's preparation; a newer one replaces the one before."""

    def __init__(self, engines: Engines, group: asyncio.TaskGroup, speculation: Speculation) -> None:
        self._llm: Any = engines.llm
        self._group = group
        self._speculation = speculation
        self._task: asyncio.Task[None] | None = None
        self._options: SessionOptions | None = None
        self._read: tuple[Any, ...] | None = None
        self._reply: Reply | None = None

    def follow(self, options: SessionOptions | TranslationOptions) -> None:
        """Cheap where nothing has changed that the model would read."""
        if options is self._options or isinstance(options, TranslationOptions):
            return
        if options.type != "realtime" or not hasattr(self._llm, "prepare"):
            return
        read = (options.model, options.instructions, options.tools, options.tool_choice)
        self._options = options
        if read == self._read:
            return
        self._read = read
        # What MCP servers offer is not known yet.
        offered = offer({}, options.tools, options.tool_choice, asking=True)
        self.read(
            Reply(
                items=[],
                model=options.model,
                instructions=options.instructions,
                tools=offered.functions,
                tool_choice=offered.choice,
                max_output_tokens=None,
            )
        )

    def prepare(self, effect: Prepare, *, spent: bool) -> None:
        """``spent``: the model would not be asked, even if the caller said no more."""
        if effect.soon and not spent and self._speculation.begin(effect.reply, effect.speech):
            self.cancel()
        else:
            self._speculation.discard()
            self.read(effect.reply)

    def discard(self) -> None:
        """The caller goes on, or was answered."""
        self._speculation.discard()

    def read(self, reply: Reply) -> None:
        """What the model may be asked; what it was reading before is given up."""
        if reply == self._reply or not hasattr(self._llm, "prepare"):
            return
        self._reply = reply
        self.cancel()
        self._task = self._group.create_task(self._prepare(reply))

    def cancel(self) -> None:
        """Read no further."""
        if self._task is not None:
            self._task.cancel()

    async def _prepare(self, reply: Reply) -> None:
        try:
            await self._llm.prepare(reply.items, reply_options(reply))
        except EngineError as error:
            log.debug("the model is not prepared: %s", error.code)
        except Exception:
            log.exception("the model could not be prepared")
