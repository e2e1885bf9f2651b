"""CPU of a call, media only: our media path and stock aiortc doing the same work, in turns.

Eight calls, sound both ways all the time: the caller's Opus decoded to 24 kHz mono PCM, a 24 kHz tone encoded
and sent. The server has one core, the callers (pre-encoded packets, this process) another. What a server
decoded is counted, so that none is cheap by doing less.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench import rig
from bench.media_server import RATE, tone
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Loop, Pace, deviations_ms, encoded

CALLS = 8
GOAL = 0.5
_WARM_S = 2.0
SERVERS = {
    "vivavoz (as served: uvloop)": ["ours", "--uvloop"],
    "vivavoz (asyncio)": ["ours"],
    "aiortc, stock": ["aiortc"],
    "aiortc, stock, on uvloop": ["aiortc", "--uvloop"],
}


def run(*, quick: bool = False) -> dict[str, Any]:
    rounds, seconds = (1, 4.0) if quick else (5, 10.0)
    packets = encoded(tone(4.0))
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in SERVERS}
    rig.pin(os.getpid(), 1)
    for _ in range(rounds):
        for name, arguments in SERVERS.items():
            rows[name].append(measure(arguments, packets, CALLS, seconds))
    rig.pin_nowhere()
    ours = statistics.median(row["cpu"] for row in rows["vivavoz (as served: uvloop)"])
    stock = statistics.median(row["cpu"] for row in rows["aiortc, stock"])
    title = f"CPU of a call, media only, {CALLS} calls, median of {rounds} rounds (% of a core)"
    columns = ["server", "CPU/call", "least", "most", "of stock", "pace p99 ms", "decoded", "kb/s out"]
    rig.table(title, columns, [_row(name, each, stock) for name, each in rows.items()])
    print(f"  goal: at most {GOAL:.2f} of stock aiortc; measured {ours / stock:.2f}")
    figures = {"calls": CALLS, "rounds": rows, "ratio": round(ours / stock, 3)}
    rig.write("cpu", figures)
    return figures


def _row(name: str, rounds: list[dict[str, float]], stock: float) -> list[object]:
    costs = [row["cpu"] for row in rounds]
    middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
    cost = statistics.median(costs)
    return [
        name, cost, min(costs), max(costs), cost / stock, middle["pace_p99_ms"],
        f"{middle['decoded']:.0%}", round(middle["kbps"]),
    ]  # fmt: skip


def measure(arguments: list[str], packets: list[bytes], calls: int, seconds: float) -> dict[str, float]:
    """One server under so many calls: CPU of a call (% of a core), pacing, and what was decoded and sent."""
    port = rig.free_port()
    command = [sys.executable, "-m", "bench.media_server", arguments[0], str(port), *arguments[1:]]
    with (
        tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder,
        rig.process(command, port, {}, Path(folder)) as server,
    ):
        rig.pin(server.pid, 0)
        rig.answers(f"{server.url}/stats", server, 30.0)
        return asyncio.run(_load(server, packets, calls, seconds))


async def _load(server: rig.Server, packets: list[bytes], calls: int, seconds: float) -> dict[str, float]:
    shared = Peers()
    ears = [Pace() for _ in range(calls)]
    peers = [Peer(shared, Loop(packets, at=17 * n), ear, channel=False) for n, ear in enumerate(ears)]
    for peer in peers:
        await peer.connect(lambda offer: rig.post_offer(server.url, offer))
    await asyncio.sleep(_WARM_S)
    began, cpu, decoded = time.time(), rig.cpu_s(server.pid), _decoded(server)
    octets = sum(ear.octets for ear in ears)
    await asyncio.sleep(seconds)
    ended = time.time()
    used, heard = rig.cpu_s(server.pid) - cpu, _decoded(server) - decoded
    sent = sum(ear.octets for ear in ears) - octets
    deviations = [each for ear in ears for each in deviations_ms(ear.arrivals, began, ended)]
    for peer in peers:
        await peer.close()
    return {
        "cpu": used / (ended - began) / calls * 100,
        "pace_p99_ms": rig.percentile(deviations, 99),
        "decoded": heard / RATE / (ended - began) / calls,
        "kbps": sent * 8 / (ended - began) / calls / 1000,
    }


def _decoded(server: rig.Server) -> int:
    with urllib.request.urlopen(f"{server.url}/stats", timeout=5) as answer:
        return int(json.load(answer)["samples"])
