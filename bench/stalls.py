"""Two calls talk while each engine process is killed (SIGKILL) and stopped (SIGSTOP for 5 s) under them.

Looked at from outside: how evenly the packets of both calls come meanwhile, how the response fails, and
whether the next turn works. Meanwhile the engine's new process loads its model on the same cores.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

from bench import rig
from bench.caller import BACK_S, Caller, sentence
from bench.engine_processes import engine_processes, send
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import deviations_ms

GOAL_MS = 10.0
_STOPPED_S = 5.0
_WATCHED_S = 8.0
_QUESTION = "Tell me a long story about a fox and a bear, in many sentences."


def run(*, quick: bool = False) -> dict[str, Any]:
    if missing := rig.embedded_missing():
        raise rig.Skipped(missing)
    stages = ("llm", "tts") if quick else ("turn", "stt", "llm", "tts")
    with rig.vivavoz("embedded") as server:
        rows = asyncio.run(_disturb(server, stages))
    rig.table(
        "pacing of two calls while an engine process is killed or stopped for 5 s (ms)",
        ["", "p50", "p99", "most", "packets", "response", "next turn"],
        [
            [row["what"], row["p50"], row["p99"], row["max"], row["n"], row["outcome"], row["next"]]
            for row in rows
        ],
    )
    print(f"  goal: p99 at most {GOAL_MS:.0f} ms, the response fails by name, the next turn works")
    figures = {"rows": rows}
    rig.write("stalls", figures)
    return figures


async def _disturb(server: rig.Server, stages: tuple[str, ...]) -> list[dict[str, Any]]:
    shared = Peers()
    callers = [Caller(shared, server.url) for _ in range(2)]
    for caller in callers:
        await caller.connect()
    rows = [await _row(server, callers, None, None)]
    for stage in stages:
        for number in (signal.SIGKILL, signal.SIGSTOP):
            rows.append(await _row(server, callers, stage, number))  # noqa: PERF401 - one after the other
    for caller in callers:
        await caller.peer.close()
    return rows


async def _row(
    server: rig.Server, callers: list[Caller], stage: str | None, number: signal.Signals | None
) -> dict[str, Any]:
    began = time.time()
    if stage == "stt":
        speech = sentence("seven " * 12)
        for caller in callers:
            caller.voice.say(speech)
            await caller.peer.wait_for("input_audio_buffer.speech_started", after=began)
    else:
        for caller in callers:
            caller.ask(_QUESTION)
        for caller in callers:
            await caller.listener.audible(after=began)
    await asyncio.sleep(0.5)
    hit = time.time()
    if stage is not None and number is not None:
        pid = engine_processes(server.pid)[stage]
        send(pid, number)
        if number is signal.SIGSTOP:
            await asyncio.sleep(_STOPPED_S)
            send(pid, signal.SIGCONT)
    await asyncio.sleep(max(0.0, hit + _WATCHED_S - time.time()))
    deviations = [
        each for caller in callers for each in deviations_ms(caller.listener.arrivals, hit, hit + _WATCHED_S)
    ]
    outcomes = [_outcome(caller.peer, hit) for caller in callers]
    for caller in callers:
        await caller.quiet()
    await _ready(server)
    works = [await caller.next_turn_works() for caller in callers]
    what = f"{stage}, {number.name}" if stage and number else "undisturbed"
    figures = rig.summary(deviations)
    return {"what": what, **figures, "outcome": " / ".join(dict.fromkeys(outcomes)), "next": all(works)}


def _outcome(peer: Peer, after: float) -> str:
    """How what was going on at that moment ended, in the service's words."""
    for arrived, event in peer.events:
        if arrived <= after:
            continue
        if event["type"].endswith("input_audio_transcription.failed"):
            return f"transcription failed ({event['error']['code']})"
        if event["type"] == "response.done":
            details = event["response"]["status_details"] or {}
            code = (details.get("error") or {}).get("code")
            return str(event["response"]["status"]) + (f" ({code})" if code else "")
    return "went on"


async def _ready(server: rig.Server) -> None:
    async with asyncio.timeout(BACK_S):
        while any(  # noqa: ASYNC110 - another process
            row["state"] != "ready" for row in (await asyncio.to_thread(server.health))["engines"]
        ):
            await asyncio.sleep(0.2)
