"""A language model without a model, to be killed and stopped in its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from vivavoz.engines.ports import ReplyDelta, ReplyOptions, TextDelta
from vivavoz.wire.items import Item


class Storyteller:
    """Tells a word at a time, without end where the instructions are ``long``."""

    def load(self) -> None: ...

    def close(self) -> None: ...

    async def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        yield TextDelta("Once upon a time ")
        while options.instructions == "long":
            await asyncio.sleep(0.05)
            yield TextDelta("there was a bear ")
