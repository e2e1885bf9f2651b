"""A task without an owner is a leak: bare `create_task` and `ensure_future` are banned outside `call/`.

A `TaskGroup` owns its tasks, so `group.create_task` is fine. A file that owns tasks some other way (keeps
them, cancels them, awaits them) is listed here with the reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src/vivavoz"

OWNERS: dict[str, str] = {
    "app/observer/toolrunner.py": "the runner keeps its tools' tasks, cancels and awaits them at its end",
    "engines/embedded/utterance.py": "an utterance has one guess at most, and cancels or awaits it",
    "engines/process/client.py": "start/stop own the connection, each job and each connection its own helper",
    "engines/process/host.py": "the connection keeps a task a job, cancels them at its end and awaits them",
    "engines/process/supervisor.py": "start/stop of one engine process own its keeper",
    "measuring/websocket.py": "start/close of a connection own its reader, its writer and its microphone",
}
"""File under src/vivavoz -> who keeps, cancels and awaits its tasks."""

ALLOWED_FOLDERS = ("call/",)
SPAWNERS = {"create_task", "ensure_future"}


def is_bare(call: ast.Call) -> bool:
    """True for asyncio.create_task(...), loop.create_task(...), and either name imported by itself."""
    match call.func:
        case ast.Name(id=name):
            return name in SPAWNERS
        case ast.Attribute(attr="ensure_future"):
            return True
        case ast.Attribute(attr="create_task", value=ast.Name(id=owner) | ast.Attribute(attr=owner)):
            return owner == "asyncio" or owner.strip("_").endswith("loop")
        case ast.Attribute(attr="create_task", value=ast.Call()):
            return True
    return False


def bare_tasks(source: str) -> Iterator[int]:
    """Line numbers of the tasks that nothing owns."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and is_bare(node):
            yield node.lineno


def findings(root: Path, owners: dict[str, str]) -> list[str]:
    found = []
    unused = set(owners)
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        lines = list(bare_tasks(path.read_text()))
        if lines and name in owners:
            unused.discard(name)
        elif lines and not name.startswith(ALLOWED_FOLDERS):
            found += [
                f"{path}:{line}: a bare task; use a TaskGroup, or name its owner in {__file__}"
                for line in lines
            ]
    return found + [f"{__file__}: {name} is listed and starts no task" for name in sorted(unused)]


def main() -> int:
    found = findings(SOURCE, OWNERS)
    print("\n".join(found) if found else "every task has an owner")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
