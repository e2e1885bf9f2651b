"""How soon a call is up: offer to answer, to the first packet of the service's voice, to the data channel.

One call at a time, the servers idle otherwise and asked in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from bench import rig
from bench.peers.candidates import Candidate, serving
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Loop, Pace

_FIRST_RTP_S = 5.0
_PAUSE_S = 0.2
"""After a call, for its server to clear up."""

Times = dict[str, list[float]]
"""``answer``, ``rtp``, ``channel``: ms since the offer was posted, a figure a call."""


def measure_setup(candidates: list[Candidate], packets: list[bytes], rounds: int) -> dict[str, Times]:
    with contextlib.ExitStack() as stack:
        servers = {each.name: stack.enter_context(serving(each)) for each in candidates}
        return asyncio.run(_setup(servers, packets, rounds))


async def _setup(servers: dict[str, rig.Server], packets: list[bytes], rounds: int) -> dict[str, Times]:
    shared = Peers()
    found: dict[str, Times] = {name: {"answer": [], "rtp": [], "channel": []} for name in servers}
    for n in range(rounds + 1):
        for name, server in servers.items():
            times = await _call(shared, server, packets)
            if n:  # the first call loads what is loaded once
                for step, ms in times.items():
                    found[name][step].append(ms)
    return found


async def _call(shared: Peers, server: rig.Server, packets: list[bytes]) -> dict[str, float]:
    ear = Pace()
    peer = Peer(shared, Loop(packets), ear)
    offered = 0.0

    async def post(offer: str) -> str:
        nonlocal offered
        offered = time.time()
        return await rig.post_offer(server.url, offer)

    try:
        await peer.connect(post)
        async with asyncio.timeout(_FIRST_RTP_S):
            while not ear.arrivals:  # noqa: ASYNC110 - its time is the kernel's, not when this looks
                await asyncio.sleep(0.005)
    finally:
        await peer.close()
    await asyncio.sleep(_PAUSE_S)
    reached = {
        "answer": peer.reached["answer"],
        "rtp": ear.arrivals[0][0],
        "channel": peer.reached["channel"],
    }
    return {step: (at - offered) * 1000 for step, at in reached.items()}
