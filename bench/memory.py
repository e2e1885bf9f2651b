"""Memory over 200 calls, opened and closed four at a time: WebRTC, an utterance, the beginning of an answer,
goodbye. As many calls before them warm the allocator and fill the caches: what those take does not come
again. Flat means that 200 calls after them leave nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

from bench import rig
from bench.caller import sentence
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Listener, Voice

GOAL_KB_A_CALL = 4.0
"""Below this a hundred thousand calls a day are 400 MB: noise of the allocator, not of ours."""
_AT_ONCE = 4


def run(*, quick: bool = False) -> dict[str, Any]:
    warm, calls = (40, 20) if quick else (200, 200)
    with rig.vivavoz("scripted") as server:
        points = asyncio.run(_churn(server, warm + calls))
    later = [(n, mb * 1000) for n, mb, _ in points if n >= warm]
    growth = rig.slope(later)
    descriptors = [count for _, _, count in points]
    rig.table(
        f"memory, {calls} calls opened and closed after {warm} others (server's resident memory)",
        ["calls", "MB", "descriptors"],
        points[:: max(1, len(points) // 10)] + points[-1:],
    )
    print(f"  slope over the last {calls}: {growth:.1f} kB a call (goal: at most {GOAL_KB_A_CALL})")
    figures = {
        "points": points,
        "kb_a_call": round(growth, 2),
        "descriptors": [descriptors[0], descriptors[-1]],
    }
    rig.write("memory", figures)
    return figures


async def _churn(server: rig.Server, calls: int) -> list[tuple[int, float, int]]:
    shared = Peers()
    speech = sentence("hello there")
    points = [(0, rig.rss_mb(server.pid), rig.descriptors(server.pid))]
    for done in range(_AT_ONCE, calls + 1, _AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(_one_call(shared, server.url, speech))
        await _until_gone(server)
        points.append((done, rig.rss_mb(server.pid), rig.descriptors(server.pid)))
    return points


async def _one_call(shared: Peers, url: str, speech: bytes) -> None:
    voice, listener = Voice(), Listener()
    peer = Peer(shared, voice, listener)
    await peer.connect(lambda offer: rig.post_offer(url, offer))
    await peer.wait_for("session.created")
    utterance = voice.say(speech)
    await utterance.over.wait()
    try:
        await listener.audible(after=utterance.ended)
    except TimeoutError:
        told = [event["type"] for _, event in peer.events]
        raise AssertionError(f"no answer; the service told: {told}") from None
    finally:
        await peer.close()


async def _until_gone(server: rig.Server) -> None:
    async with asyncio.timeout(15):
        while (await asyncio.to_thread(server.health))["calls"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
