"""Waiting, on the event loop's clock only, so that a virtual clock drives every delay of a script."""

from __future__ import annotations

import asyncio


async def wait_ms(milliseconds: float | None) -> None:
    """Wait so long; without a wait still let others run, and a cancellation in."""
    await asyncio.sleep((milliseconds or 0.0) / 1000.0)
