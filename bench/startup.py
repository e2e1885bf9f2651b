"""From ``vivavoz serve`` to a page that answers, and to engines that are ready. The models are on disk; the
first run reads them from there, the others from the system's cache."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import rig

PAGE_GOAL_S = 5.0
READY_GOAL_S = 15.0


def run(*, quick: bool = False) -> dict[str, Any]:
    rounds = 1 if quick else 5
    engines = ["scripted", *(["embedded"] if not rig.embedded_missing() else [])]
    times = {name: [_start(name) for _ in range(rounds)] for name in engines}
    rows = [
        [
            name,
            statistics.median(page for page, _ in each),
            max(page for page, _ in each),
            statistics.median(ready for _, ready in each),
            max(ready for _, ready in each),
        ]
        for name, each in times.items()
    ]
    columns = ["engines", "page p50", "page max", "ready p50", "ready max"]
    rig.table(f"start, {rounds} times (s since the command)", columns, rows)
    print(f"  goal: page in {PAGE_GOAL_S:.0f} s, ready in {READY_GOAL_S:.0f} s")
    if missing := rig.embedded_missing():
        print(f"  embedded engines left out: {missing}")
    figures = {"page_and_ready_s": times}
    rig.write("startup", figures)
    return figures


def _start(engines: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder:
        port = rig.free_port()
        environment = {
            "VIVAVOZ_PORT": str(port),
            "VIVAVOZ_STATE_DIR": f"{folder}/state",
            "VIVAVOZ_DRAIN_SECONDS": "0",
        }
        command = [str(Path(sys.executable).with_name("vivavoz")), "serve", "--engines", engines]
        with rig.process(command, port, environment, Path(folder)) as server:
            page = rig.answers(f"{server.url}/", server, 30.0)
            ready = rig.answers(f"{server.url}/readyz", server, 120.0)
            return round(page, 3), round(ready, 3)
