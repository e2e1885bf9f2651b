"""Waiting for a condition that no event announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Return once ``true()`` holds; TimeoutError if it does not within ``timeout_s`` seconds."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
