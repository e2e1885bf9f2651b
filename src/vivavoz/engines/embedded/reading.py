"""Prompts that are being read in vain or ahead: whoever needs one of them waits for it.

While one slot of llama.cpp reads a prompt, a request that begins with the same words would be given another
slot and read them all over again, both of them slower for it. So does one that was given up a moment ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from vivavoz.engines.embedded.generation import Generation

_PATIENCE_S = 1.0
_MAX = 64


class Reading:
    """By everything but a prompt's last message: what the caller says grows while it is read."""

    def __init__(self) -> None:
        self._running: dict[str, Generation] = {}

    async def over(self, messages: Sequence[Any]) -> None:
        """Wait, not long, until nothing is read that ``messages`` begin with."""
        generation = self._running.get(_key(messages))
        if generation is not None:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await generation.ended.wait()
            except TimeoutError:
                return

    def begins(self, messages: Sequence[Any], generation: Generation) -> None:
        for key in [key for key, running in self._running.items() if running.ended.is_set()]:
            del self._running[key]
        if len(self._running) < _MAX:
            self._running[_key(messages)] = generation


def _key(messages: Sequence[Any]) -> str:
    return repr(messages[:-1])
