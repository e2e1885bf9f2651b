"""How many tokens a text has for llama.cpp, counted by itself without computing anything.

The library has no call for it here. But it refuses a prompt that cannot fit, at once and with the prompt's
length, and a prompt may be token ids and text in a row: so a text is asked for behind more ids than fit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from vivavoz.engines.chat import call_id
from vivavoz.engines.embedded.generation import Generation
from vivavoz.engines.ports import EngineError
from vivavoz.wire.items import FunctionCall, FunctionCallOutput, Item, Message

SPARE = 24
"""Tokens of a context that are not given away: what opens a prompt, and the answer's."""

_AROUND = 5
"""Tokens that chat templates put around a message."""
_MOST = 64
"""Texts that are counted one by one; of more, neighbours are counted together and share by their length."""
_AT_ONCE = 8
_PATIENCE_S = 3.0
"""While all slots of the model are busy, nothing is counted."""


class TokenCounter:
    def __init__(self, server: Callable[[], Any], context: int) -> None:
        """``context``: tokens of the whole server's context."""
        self._server = server
        self._before = [0] * (context + 1024)

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text. Raises EngineError where they cannot be counted now."""
        groups = _groups(texts)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                sums: list[int] = []
                for start in range(0, len(groups), _AT_ONCE):
                    now = groups[start : start + _AT_ONCE]
                    sums += await asyncio.gather(*(self._one("\n".join(group)) for group in now))
        except TimeoutError:
            raise EngineError("the language model is too busy to count", "engine_busy") from None
        return [share for group, tokens in zip(groups, sums, strict=True) for share in _shares(group, tokens)]

    async def _one(self, text: str) -> int:
        if not text:
            return 0
        request = {"prompt": [*self._before, text], "n_predict": 0, "stream": True}
        answer = Generation(self._server(), request, "handle_completions").chunks()
        async with contextlib.aclosing(answer) as chunks:
            async for chunk in chunks:
                counted = (chunk.get("error") or {}).get("n_prompt_tokens", 0)
                if counted > len(self._before):
                    return int(counted) - len(self._before)
                break
        raise EngineError("the language model does not count")


def spelled(item: Item, words: str) -> str:
    """An item as chat templates write it, nearly; ``words``: those of a message."""
    match item:
        case Message():
            return words
        case FunctionCall():
            return json.dumps({"id": call_id(item), "name": item.name, "arguments": item.arguments})
        case FunctionCallOutput():
            return f"{item.call_id} {item.output}"


def around(tokens: int) -> int:
    return tokens + _AROUND if tokens else 0


def _groups(texts: Sequence[str]) -> list[Sequence[str]]:
    size = max(1, -(-len(texts) // _MOST))
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def _shares(group: Sequence[str], tokens: int) -> list[int]:
    whole = sum(map(len, group)) or 1
    return [-(-tokens * len(text) // whole) for text in group]
