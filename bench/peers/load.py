"""CPU, data channel and memory of calls that all sound both ways; and how many calls one core carries."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from bench import rig
from bench.peers.callers import Callers, Window
from bench.peers.candidates import Candidate, serving

PACE_MS = 10.0
"""p99 of packets' unevenness up to which a core carries its calls."""
_WHOLE = 0.98
"""Of the sound decoded, and of the messages echoed."""
_SETTLE_S = 1.0
FEW, MANY, MORE = 8, 20, 24


def cost(candidate: Candidate, packets: list[bytes], seconds: float) -> dict[str, Any]:
    """One round: windows with ``FEW`` and ``MANY`` calls, media only and with messages; MB a call."""
    with serving(candidate) as server:
        return asyncio.run(_cost(server, packets, seconds))


async def _cost(server: rig.Server, packets: list[bytes], seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    memory: dict[int, float] = {}
    async with _load(server, packets) as callers:
        for calls in (FEW, MANY):
            await callers.join(calls)
            for chatting in (False, True):
                callers.chatting = chatting
                await asyncio.sleep(min(_SETTLE_S, seconds) if not chatting else 0.2)
                window = await callers.watch(seconds)
                found[f"{calls} {'messages' if chatting else 'media'}"] = msgspec.to_builtins(window)
            callers.chatting = False
            if calls == FEW:
                await callers.tidy()
                memory[FEW] = rig.tree_pss_mb(server.pid)
        await callers.join(MORE)
        await asyncio.sleep(_SETTLE_S)
        await callers.tidy()
        memory[MORE] = rig.tree_pss_mb(server.pid)
    found["pss_mb"] = memory
    found["mb_call"] = (memory[MORE] - memory[FEW]) / (MORE - FEW)
    return found


@contextlib.asynccontextmanager
async def _load(server: rig.Server, packets: list[bytes]) -> AsyncIterator[Callers]:
    callers = Callers(server, packets)
    chat = asyncio.create_task(callers.chat())
    try:
        yield callers
    finally:
        chat.cancel()
        await asyncio.gather(chat, return_exceptions=True)
        await callers.leave()


def ramp(candidate: Candidate, packets: list[bytes], seconds: float, steps: int) -> dict[str, Any]:
    """More and more calls with messages on, up to the second step in a row that is not carried."""
    with serving(candidate) as server:
        windows, end = asyncio.run(_ramp(server, packets, candidate.ramp[:steps], seconds))
    most = max((each.calls for each in windows if carried(each)), default=0)
    return {"steps": [msgspec.to_builtins(each) for each in windows], "most": most, "end": end}


async def _ramp(
    server: rig.Server, packets: list[bytes], heights: tuple[int, ...], seconds: float
) -> tuple[list[Window], str]:
    windows: list[Window] = []
    async with _load(server, packets) as callers:
        callers.chatting = True
        for calls in heights:
            try:
                await callers.join(calls)
                await asyncio.sleep(min(_SETTLE_S, seconds))
                windows.append(await callers.watch(seconds))
            except ExceptionGroup as errors:
                return windows, f"at {calls} calls: {errors.exceptions[0]!r}"
            if len(windows) > 1 and not any(map(carried, windows[-2:])):
                return windows, "two steps in a row not carried"
    return windows, "the ramp's end"


def carried(window: Window) -> bool:
    return window.pace_p99_ms <= PACE_MS and window.heard >= _WHOLE and window.echoed >= _WHOLE


def median(rounds: list[dict[str, Any]], key: str, field: str) -> float:
    """Of the rounds' windows."""
    return statistics.median(each[key][field] for each in rounds)
