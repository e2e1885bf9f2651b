"""How many calls' media one core carries: more and more calls, sound both ways all the time, until packets no
longer leave evenly or sound is lost. The same work, server and callers as in :mod:`bench.cpu`."""

from __future__ import annotations

import os
from typing import Any

from bench import rig
from bench.cpu import SERVERS, measure
from bench.media_server import tone
from vivavoz.measuring.sound import encoded

PACE_MS = 10.0
"""p99 of packets' unevenness up to which a core carries its calls."""
_DECODED = 0.99
_RAMPS = {
    "vivavoz (as served: uvloop)": (20, 40, 60, 80, 90, 100, 110, 120, 130),
    "aiortc, stock": (4, 8, 12, 16, 20),
}


def run(*, quick: bool = False) -> dict[str, Any]:
    packets = encoded(tone(4.0))
    rig.pin(os.getpid(), 1)
    found: dict[str, list[dict[str, float]]] = {}
    for name, ramp in _RAMPS.items():
        found[name] = _climb(SERVERS[name], ramp[:2] if quick else ramp, packets)
    rig.pin_nowhere()
    rows = [
        [name, round(row["calls"]), row["cpu"] * row["calls"], row["pace_p99_ms"], f"{row['decoded']:.0%}"]
        for name, each in found.items()
        for row in each
    ]
    rig.table("calls on one core", ["server", "calls", "core %", "pace p99 ms", "decoded"], rows)
    most = {
        name: max((row["calls"] for row in each if _carried(row)), default=0) for name, each in found.items()
    }
    print(f"  most with p99 <= {PACE_MS:.0f} ms: " + ", ".join(f"{name} {n:.0f}" for name, n in most.items()))
    figures = {"ramps": found, "most": most}
    rig.write("capacity", figures)
    return figures


def _climb(arguments: list[str], ramp: tuple[int, ...], packets: list[bytes]) -> list[dict[str, float]]:
    """Up to the second step in a row that fails: one alone may be a neighbour's doing."""
    rows: list[dict[str, float]] = []
    for calls in ramp:
        rows.append({"calls": calls, **measure(arguments, packets, calls, 6.0)})
        if len(rows) > 1 and not any(map(_carried, rows[-2:])):
            break
    return rows


def _carried(row: dict[str, float]) -> bool:
    return row["pace_p99_ms"] <= PACE_MS and row["decoded"] >= _DECODED
