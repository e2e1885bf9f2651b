"""The engine processes of a running service, by stage, found from outside: for tests and measurements that
kill and stop them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

STAGES = ("turn", "stt", "llm", "tts")


def engine_processes(service: int) -> dict[str, int]:
    """Stage -> process id, of the service with this process id. Each holds the listening socket that is named
    after its stage."""
    sockets = _unix_sockets()
    found: dict[str, int] = {}
    for child in children(service):
        for path in (sockets[inode] for inode in _inodes(child) if inode in sockets):
            if path.suffix == ".sock" and path.stem in STAGES:
                found[path.stem] = child
    return found


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def send(pid: int, number: signal.Signals) -> None:
    """A signal, if the process is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _unix_sockets() -> dict[str, Path]:
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    rows: list[Sequence[str]] = [line.split() for line in lines]
    return {row[6]: Path(row[7]) for row in rows if len(row) > 7}


def _inodes(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    found.append(target[8:-1])
    return found
