"""An engine's results before anybody wants them: made ahead in secret, handed over when they are asked for.

Neither kind may be in the way of the work that it stands in for: where its engine fails, gives it up, or says
something else than is wanted now, the work is done anew, as if there had been nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from vivavoz.call.feed import Feed
from vivavoz.engines.ports import ReplyDelta, Speech, TextDelta, ToolCallDelta

log = logging.getLogger("vivavoz.call.held")

Keep = Callable[[], Awaitable[bool]]
"""Has the engine go on with it; False: it had given it up (:class:`~vivavoz.engines.ports.Tentative`)."""

_MOST_DELTAS = 512
"""Of a reply that wait; the model goes on when they are taken."""

_END = object()


class Held(Protocol):
    """Stands in for an engine's work; :meth:`cancel` before, while or after its results are taken."""

    def results(self, feed: Feed, anew: Callable[[Any], AsyncIterator[Any]]) -> AsyncIterator[Any]:
        """What the engine gives for ``feed``, at once as far as it is there. ``anew``: does the work."""
        ...

    def cancel(self) -> None: ...


class _Pump:
    """Takes results from an engine, at most ``most`` ahead of whoever wants them."""

    def __init__(self, group: asyncio.TaskGroup, results: Any, most: int) -> None:
        self.arrived: asyncio.Queue[Any] = asyncio.Queue(most)
        self.failed = False
        self._task = group.create_task(self._run(results))

    def cancel(self) -> None:
        self._task.cancel()

    async def taken(self) -> AsyncIterator[Any]:
        while (result := await self.arrived.get()) is not _END:
            if isinstance(result, Exception):
                raise result
            yield result

    async def _run(self, results: Any) -> None:
        end: Any = _END
        try:
            async with aclosing(results):
                async for result in results:
                    await self.arrived.put(result)
        except Exception as error:
            log.debug("made ahead in vain: %s", type(error).__name__)
            self.failed, end = True, error
        await self.arrived.put(end)


class HeldReply:
    """What a model says. ``heard``: told of each piece, and of None when it has said everything."""

    def __init__(
        self, group: asyncio.TaskGroup, deltas: Any, keep: Keep, heard: Callable[[ReplyDelta | None], None]
    ) -> None:
        self._keep = keep
        self._pump = _Pump(group, self._tell(deltas, heard), _MOST_DELTAS)

    async def results(self, feed: Feed, anew: Callable[[Any], AsyncIterator[Any]]) -> AsyncIterator[Any]:
        try:
            there = not self._pump.failed and await self._keep()
            if not there:
                self.cancel()
            deltas: Any = self._pump.taken() if there else anew(feed)
            async with aclosing(deltas):
                async for delta in deltas:
                    yield delta
        finally:
            self.cancel()

    def cancel(self) -> None:
        self._pump.cancel()

    @staticmethod
    async def _tell(deltas: Any, heard: Callable[[ReplyDelta | None], None]) -> AsyncIterator[ReplyDelta]:
        async with aclosing(deltas):
            async for delta in deltas:
                heard(delta)
                yield delta
        heard(None)


class HeldSpeech:
    """The beginning of what a voice says of a reply: its first chunk. Fed by :meth:`hear`; what the voice is
    to say after that is fed by whoever wants it."""

    def __init__(self, group: asyncio.TaskGroup, speak: Callable[[Any], Any], keep: Keep) -> None:
        self._keep = keep
        self._words = Feed()
        self._fed = ""
        self._whole = False
        """There is no more to say than it was fed."""
        self._wanted = False
        self._rest: asyncio.Future[AsyncIterator[str]] = asyncio.get_running_loop().create_future()
        self._pump = _Pump(group, speak(self._text()), 1)

    def hear(self, delta: ReplyDelta | None) -> None:
        """A piece of the reply. A function call ends what is said, as the reply's end does."""
        if self._whole or self._wanted or not self._pump.arrived.empty():
            return
        if isinstance(delta, TextDelta):
            self._fed += delta.text
            self._words.put(delta.text)
        elif delta is None or isinstance(delta, ToolCallDelta):
            self._whole = True
            self._words.finish()

    async def results(self, feed: Feed, anew: Callable[[Any], AsyncIterator[Any]]) -> AsyncIterator[Speech]:
        self._wanted = True
        try:
            said, ended = await self._read(feed)
            speech: Any
            if self._foreseen(said, ended) and not self._pump.failed and await self._keep():
                self._go_on(_joined(said[len(self._fed) :], feed))
                speech = self._pump.taken()
            else:
                self.cancel()
                speech = anew(_joined(said, feed))
            async with aclosing(speech):
                async for chunk in speech:
                    yield chunk
        finally:
            self.cancel()

    def cancel(self) -> None:
        self._pump.cancel()

    async def _read(self, feed: Feed) -> tuple[str, bool]:
        """What is really to be said, until it can be compared; and whether that is all."""
        said = ""
        async for piece in feed:
            said += piece
            if len(said) > len(self._fed) or (len(said) == len(self._fed) and not self._whole):
                return said, False
        return said, True

    def _foreseen(self, said: str, ended: bool) -> bool:
        if self._whole:
            return ended and said == self._fed
        return said.startswith(self._fed)

    def _go_on(self, rest: AsyncIterator[str]) -> None:
        if not self._rest.done():
            self._rest.set_result(rest)
        self._words.finish()

    async def _text(self) -> AsyncIterator[str]:
        async for piece in self._words:
            yield piece
        if not self._whole:
            async for piece in await self._rest:
                yield piece


async def _joined(said: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    if said:
        yield said
    async for piece in rest:
        yield piece
