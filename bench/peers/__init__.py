"""Our media path beside the peers that install from a package, under the same load, in one run.

``vivavoz`` is our media path as ``vivavoz serve`` runs it; ``aiortc`` stock, as its examples use it;
``pipecat`` its SmallWebRTC transport with the smallest bot there is; ``wrtc`` libwebrtc (Chrome's) by its
Python bindings. Each is a process on one core, the callers are this process, on another; both run
before ordinary processes (``SCHED_RR``) where that is allowed. Rounds are interleaved; figures are medians.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench import rig
from bench.peers import load
from bench.peers.candidates import OURS, STOCK, Candidate, available, versions
from bench.peers.echo import measure_echo
from bench.peers.load import FEW, MANY, MORE, PACE_MS
from bench.peers.servers.common import tone
from bench.peers.setup import measure_setup
from vivavoz.measuring.sound import encoded

GOALS = {
    "cpu_call_20_media": 2.4,
    "stock_over_ours_8_media": 2.5,
    "calls_a_core": 40,
    "first_rtp_ms": 25.0,
    "echo_ms": 20.0,
    "echo_lossy_ms": 40.0,
    "hole_ms": 40.0,
    "mb_call": 0.5,
}


def run(*, quick: bool = False) -> dict[str, Any]:
    candidates, skipped = available()
    for name, reason in skipped.items():
        print(f"  {name}: skipped, {reason}")
    preceded = rig.precede(0)
    rig.pin(os.getpid(), 1)
    try:
        measured = _measured(candidates, quick=quick)
    finally:
        rig.pin_nowhere()
        rig.precede_nobody()
    figures = {
        "versions": versions(candidates),
        "skipped": skipped,
        "scheduling": f"server on core 0, callers on core 1, {'SCHED_RR' if preceded else 'ordinary'} both",
        "quick": quick,
        **measured,
    }
    figures["reached"] = _reached(figures)
    _print(figures)
    rig.write("peers", figures)
    return figures


def _measured(candidates: Sequence[Candidate], *, quick: bool) -> dict[str, Any]:
    """Quick: one short round each, the ramps' first step."""
    packets = encoded(tone(4.0))
    rounds, seconds = (1, 0.5) if quick else (3, 2.0)
    failed: dict[str, str] = {}
    costs: dict[str, list[Any]] = {each.name: [] for each in candidates}
    for _ in range(rounds):
        for each in candidates:
            if (
                found := _tried(each, failed, lambda each=each: load.cost(each, packets, seconds))
            ) is not None:
                costs[each.name].append(found)
    ramps, echoes = {}, {}
    for each in candidates:
        if (
            found := _tried(each, failed, lambda each=each: measure_echo(each, 5 if quick else 9))
        ) is not None:
            echoes[each.name] = found
    times = measure_setup(
        [each for each in candidates if each.name not in failed], packets, 2 if quick else 15
    )
    for each in candidates:
        climb = lambda each=each: load.ramp(each, packets, 0.5 if quick else 2.5, 1 if quick else 99)  # noqa: E731
        if (found := _tried(each, failed, climb)) is not None:
            ramps[each.name] = found
    costs = {name: each for name, each in costs.items() if each}
    return {"cost": costs, "echo": echoes, "setup": times, "ramp": ramps, "failed": failed}


def _tried(candidate: Candidate, failed: dict[str, str], measure: Callable[[], Any]) -> Any:
    """What was found; None, and why not, for a peer that fails. Our own failing is the bench's."""
    try:
        return measure()
    except Exception as error:
        if candidate is OURS:
            raise
        failed[candidate.name] = repr(error)
        print(f"  {candidate.name}: failed, {error!r}")
        return None


def middle(figures: dict[str, Any], name: str, key: str, field: str) -> float:
    """Of a candidate's rounds (``cost``)."""
    return statistics.median(each[key][field] for each in figures["cost"][name])


def _reached(figures: dict[str, Any]) -> dict[str, float]:
    ours = OURS.name
    few, many = f"{FEW} media", f"{MANY} media"
    own = middle(figures, ours, few, "cpu_call")
    echoes = figures["echo"][ours]
    found = {
        "cpu_call_20_media": middle(figures, ours, many, "cpu_call"),
        "calls_a_core": figures["ramp"][ours]["most"],
        "first_rtp_ms": statistics.median(figures["setup"][ours]["rtp"]),
        "echo_ms": statistics.median(echoes["clean"]),
        "echo_lossy_ms": statistics.median(echoes["lossy"]),
        "hole_ms": statistics.median(echoes["hole"]),
        "mb_call": statistics.median(each["mb_call"] for each in figures["cost"][ours]),
    }
    if STOCK.name in figures["cost"]:
        found["stock_over_ours_8_media"] = middle(figures, STOCK.name, few, "cpu_call") / own
    return {name: round(value, 3) for name, value in found.items()}


# --------------------------------------------------------------------------- tables


def _print(figures: dict[str, Any]) -> None:
    print(f"\n  {figures['scheduling']}; {figures['versions']}")
    _print_cost(figures)
    _print_ramps(figures)
    _print_setup(figures)
    _print_echo(figures)
    goals = [[name, wanted, figures["reached"].get(name, float("nan"))] for name, wanted in GOALS.items()]
    rig.table("goals", ["figure", "goal", "measured"], goals)


def _print_cost(figures: dict[str, Any]) -> None:
    keys = [f"{calls} {kind}" for calls in (FEW, MANY) for kind in ("media", "messages")]
    columns = ["server", *(f"{key} (of ours)" for key in keys), "least - most"]
    rows = []
    for name, rounds in figures["cost"].items():
        cells = []
        for key in keys:
            value = middle(figures, name, key, "cpu_call")
            cells.append(f"{value:.2f} ({value / middle(figures, OURS.name, key, 'cpu_call'):.1f})")
        spread = [each[f"{FEW} media"]["cpu_call"] for each in rounds]
        rows.append([name, *cells, f"{min(spread):.2f} - {max(spread):.2f}"])
    rig.table("CPU of a call (% of a core); least - most of the first", columns, rows)
    rows = []
    for name, rounds in figures["cost"].items():
        field = lambda key, which, name=name: middle(figures, name, key, which)  # noqa: E731
        memory = statistics.median(each["mb_call"] for each in rounds)
        base = statistics.median(each["pss_mb"][FEW] for each in rounds)
        rows.append(
            [
                name,
                field(f"{FEW} messages", "rtt_p50_ms"),
                field(f"{FEW} messages", "rtt_p99_ms"),
                field(f"{MANY} messages", "rtt_p50_ms"),
                field(f"{MANY} messages", "rtt_p99_ms"),
                field(f"{MANY} media", "pace_p99_ms"),
                f"{field(f'{MANY} media', 'heard'):.0%}",
                round(field(f"{MANY} media", "kbps")),
                memory,
                base,
            ]
        )
    columns = [
        "server", f"rtt p50, {FEW}", "p99", f"rtt p50, {MANY}", "p99", f"pace p99, {MANY}", "heard",
        "kb/s out", "MB a call", f"MB at {FEW}",
    ]  # fmt: skip
    rig.table(f"data channel (ms), pacing (ms), memory (Pss, {FEW} to {MORE} calls)", columns, rows)


def _print_ramps(figures: dict[str, Any]) -> None:
    rows = [
        [name, step["calls"], step["cpu"], step["pace_p99_ms"], step["rtt_p99_ms"], f"{step['heard']:.0%}",
         f"{step['echoed']:.0%}", step["callers_cpu"]]
        for name, ramp in figures["ramp"].items()
        for step in ramp["steps"]
    ]  # fmt: skip
    columns = ["server", "calls", "core %", "pace p99 ms", "rtt p99 ms", "heard", "echoed", "callers' core %"]
    rig.table("calls on one core, messages on", columns, rows)
    told = ", ".join(f"{name} {ramp['most']} ({ramp['end']})" for name, ramp in figures["ramp"].items())
    print(f"  most with p99 <= {PACE_MS:.0f} ms: {told}")


def _print_setup(figures: dict[str, Any]) -> None:
    rows = [
        [name, *(_spread(times[step]) for step in ("answer", "rtp", "channel"))]
        for name, times in figures["setup"].items()
    ]
    columns = ["server", "answer", "first RTP", "channel open"]
    rig.table("since the offer (ms): median (least - most)", columns, rows)


def _print_echo(figures: dict[str, Any]) -> None:
    rows = [
        [
            name,
            _spread(each["clean"]),
            f"{rig.percentile(each['lossy'], 50):.1f}, {rig.percentile(each['lossy'], 90):.1f}",
            statistics.median(each["after"]) - statistics.median(each["before"]),
            statistics.median(each["hole"]),
        ]
        for name, each in figures["echo"].items()
    ]
    columns = ["server", "no loss", "2 % loss p50, p90", "one loss adds for good", "its hole"]
    rig.table("delay through the server (ms)", columns, rows)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} - {max(values):.1f})"
