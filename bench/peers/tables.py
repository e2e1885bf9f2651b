"""The figures of ``bench/out/peers.json`` as the tables of docs/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.peers.candidates import OURS
from bench.peers.load import FEW, MANY, PACE_MS
from bench.rig import percentile


def markdown(figures: Mapping[str, Any]) -> str:
    """All of them, with what they were measured on."""
    machine = figures["machine"]
    names = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    head = (
        f"Measured {figures['measured'][:16].replace('T', ' ')} UTC; {machine['cores']} cores, load "
        f"{machine['load'][0]} when it ended; {figures['scheduling']}. {names}."
    )
    missing = {**figures["skipped"], **figures["failed"]}
    told = [f"Not measured: {name} ({reason})." for name, reason in missing.items()]
    parts = [head, *told, _costs(figures), _others(figures), _delays(figures), _ramps(figures)]
    return "\n\n".join(parts)


def _costs(figures: Mapping[str, Any]) -> str:
    keys = [f"{calls} {kind}" for calls in (FEW, MANY) for kind in ("media", "messages")]
    rows = []
    for name, rounds in figures["cost"].items():
        cells = []
        for key in keys:
            each = [found[key]["cpu_call"] for found in rounds]
            ratio = statistics.median(each) / _ours(figures, key)
            cells.append(f"{statistics.median(each):.2f} ({min(each):.2f} - {max(each):.2f}) {ratio:.1f} x")
        rows.append([name, *cells])
    titles = ["% of a core a call", *(key.replace(" ", " calls, ", 1) for key in keys)]
    return _table(titles, rows)


def _ours(figures: Mapping[str, Any], key: str) -> float:
    return statistics.median(each[key]["cpu_call"] for each in figures["cost"][OURS.name])


def _others(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, rounds in figures["cost"].items():
        few, many = ([each[f"{calls} messages"] for each in rounds] for calls in (FEW, MANY))
        trips = [
            f"{_median(each, 'rtt_p50_ms'):.1f}, {_median(each, 'rtt_p99_ms'):.1f}" for each in (few, many)
        ]
        times = figures["setup"].get(name)
        steps = [_spread(times[step]) for step in ("answer", "channel", "rtp")] if times else ["-"] * 3
        memory = [each["mb_call"] for each in rounds]
        rows.append([name, *steps, *trips, _spread(memory, 2)])
    titles = [
        "ms", "offer to answer", "to data channel", "to first RTP", f"round trip p50, p99, {FEW} calls",
        f"{MANY} calls", "MB a call",
    ]  # fmt: skip
    return _table(titles, rows)


def _delays(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, each in figures["echo"].items():
        tails = [
            f"{percentile(each[kind], 50):.0f}, {percentile(each[kind], 90):.0f}"
            for kind in ("clean", "lossy")
        ]
        lasting = statistics.median(
            after - before for after, before in zip(each["after"], each["before"], strict=True)
        )
        rows.append([name, *tails, f"{lasting:.0f}", _spread(each["hole"], 0)])
    titles = [
        "delay through the server (ms)",
        "no loss p50, p90",
        "2 % loss p50, p90",
        "one loss adds for good",
    ]
    return _table([*titles, "its hole"], rows)


def _ramps(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, ramp in figures["ramp"].items():
        steps = " ".join(f"{step['calls']}: {step['pace_p99_ms']:.1f}" for step in ramp["steps"])
        full = [f"{step['cpu']:.0f} %" for step in ramp["steps"] if step["calls"] == ramp["most"]]
        rows.append([name, f"**{ramp['most']}**", full[0] if full else "-", steps, ramp["end"]])
    titles = [
        f"calls a core, p99 <= {PACE_MS:.0f} ms",
        "most",
        "core then",
        "calls: pace p99 (ms)",
        "ended by",
    ]
    return _table(titles, rows)


def _median(windows: Sequence[Mapping[str, float]], field: str) -> float:
    return statistics.median(each[field] for each in windows)


def _spread(values: Sequence[float], digits: int = 1) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} - {most:.{digits}f})"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)
