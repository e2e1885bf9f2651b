"""What it costs to observe and record calls: twenty of them against twenty plain ones.

Both go through ``/connect`` of a whole ``vivavoz serve`` (scripted engines): callers speak, are answered, and
speak again. Plain: ``app.observe`` off. Observed: an observer on each call, with both voices and all events
recorded. Counted are all processes of the service: worker and application. Packing a recording comes after
its call, at the lowest priority, and is not in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from bench import rig
from bench.caller import sentence
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import Loop, Pace, deviations_ms, encoded

CALLS = 20
GOAL = 1.3
_WARM_S = 3.0
_SILENCE_S = 4
_MODES = {
    "plain": {"VIVAVOZ_APP_OBSERVE": "false"},
    "observed": {"VIVAVOZ_APP_OBSERVE": "true"},
    "observed and recorded": {"VIVAVOZ_APP_OBSERVE": "true", "VIVAVOZ_APP_RECORDINGS_ENABLED": "true"},
}


def run(*, quick: bool = False) -> dict[str, Any]:
    rounds, seconds = (1, 8.0) if quick else (5, 20.0)
    packets = encoded(sentence("good morning what can you do") + bytes(48_000 * _SILENCE_S))
    rows: dict[str, list[dict[str, float]]] = {mode: [] for mode in _MODES}
    rig.pin(os.getpid(), 1)
    for _ in range(rounds):
        for mode, environment in _MODES.items():
            with rig.vivavoz("scripted", environment=environment) as server:
                rig.answers(f"{server.url}/api/app", server, 60.0)
                rows[mode].append(asyncio.run(_load(server, packets, seconds, observed=mode != "plain")))
    rig.pin_nowhere()
    plain = statistics.median(row["cpu"] for row in rows["plain"])
    table = [_row(mode, each, plain) for mode, each in rows.items()]
    title = f"{CALLS} calls in conversation, median of {rounds} rounds"
    columns = [
        "calls",
        "core %",
        "of plain",
        "worker %",
        "application %",
        "pace p50 ms",
        "pace p99 ms",
        "turns",
    ]
    rig.table(title, columns, table)
    ratio = statistics.median(row["cpu"] for row in rows["observed and recorded"]) / plain
    print(f"  goal: at most {GOAL:.1f} of the plain calls' CPU; measured {ratio:.2f}")
    figures = {"calls": CALLS, "rounds": rows, "ratio": round(ratio, 3)}
    rig.write("observed", figures)
    return figures


def _row(mode: str, rounds: list[dict[str, float]], plain: float) -> list[object]:
    middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
    cost = middle["cpu"]
    return [
        mode, cost, cost / plain, middle["worker"], middle["application"], middle["pace_p50_ms"],
        middle["pace_p99_ms"], round(middle["turns"]),
    ]  # fmt: skip


async def _load(
    server: rig.Server, packets: list[bytes], seconds: float, *, observed: bool
) -> dict[str, float]:
    for pid in _family(server.pid):
        rig.pin(pid, 0)
    shared = Peers()
    ears = [Pace() for _ in range(CALLS)]
    peers = [Peer(shared, Loop(packets, at=13 * n), ear) for n, ear in enumerate(ears)]
    async with aiohttp.ClientSession() as http:
        for peer in peers:
            await peer.connect(lambda offer: _connect(http, server.url, offer))
    await asyncio.sleep(_WARM_S)
    began, before = time.time(), _costs(server)
    await asyncio.sleep(seconds)
    ended, after = time.time(), _costs(server)
    if observed:
        _check_observed(server)
    deviations = [each for ear in ears for each in deviations_ms(ear.arrivals, began, ended)]
    turns = sum(
        event["type"] == "response.output_audio_transcript.done" and began <= arrived <= ended
        for peer in peers
        for arrived, event in peer.events
    )
    for peer in peers:
        await peer.close()
    worker, application = ((after[at] - before[at]) / (ended - began) * 100 for at in (0, 1))
    return {
        "cpu": worker + application,
        "worker": worker,
        "application": application,
        "pace_p50_ms": rig.percentile(deviations, 50),
        "pace_p99_ms": rig.percentile(deviations, 99),
        "turns": float(turns),
    }


async def _connect(http: aiohttp.ClientSession, url: str, offer: str) -> str:
    form = aiohttp.FormData({"sdp": offer}, default_to_multipart=True)
    async with http.post(f"{url}/connect", data=form) as answer:
        text = await answer.text()
        if answer.status != 201:
            raise RuntimeError(f"{answer.status}: {text}")
        return text


def _check_observed(server: rig.Server) -> None:
    """None is cheap by not being observed."""
    with urllib.request.urlopen(f"{server.url}/api/calls", timeout=10) as answer:
        calls = json.load(answer)["calls"]
    attached = [call for call in calls if call["observer"] == "attached" and call["turns"]]
    if len(attached) != CALLS:
        raise RuntimeError(f"{len(attached)} of {CALLS} calls were observed")


def _costs(server: rig.Server) -> tuple[float, float]:
    """Processor time (s) of the worker, and of the application and whatever else there is."""
    family = list(_family(server.pid))
    return rig.cpu_s(family[0]), sum(rig.cpu_s(pid) for pid in family[1:])


def _family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
