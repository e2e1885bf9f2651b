"""Who is measured: our media path, and what else can be installed from a package to do its work."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import rig

_ROOT = Path(__file__).parents[2]
_SERVERS = Path(__file__).parent / "servers"
VENV = _ROOT / ".venv-peers"
"""The peers' packages, never among the product's; ``make clean`` removes it."""
_INSTALL_S = 300.0


class Candidate(msgspec.Struct, frozen=True):
    """``script`` runs with ``python``. ``ramp``: the numbers of calls at which its capacity is looked for."""

    name: str
    script: str
    ramp: tuple[int, ...]
    packages: tuple[str, ...] = ()
    """What its interpreter needs besides ours; empty for one that runs with ours."""


OURS = Candidate("vivavoz", "serve_ours.py", (30, 40, 50, 60, 70, 80, 90))
STOCK = Candidate("aiortc", "serve_aiortc.py", (6, 8, 10, 12, 14, 16, 20, 24))
CANDIDATES = (
    OURS,
    STOCK,
    Candidate(
        "pipecat",
        "serve_pipecat.py",
        (4, 6, 8, 10, 12, 14, 16),
        ("pipecat-ai[webrtc]==1.14.0", "aiohttp>=3.14,<4"),
    ),
    Candidate(
        "wrtc", "serve_wrtc.py", (8, 16, 20, 24, 28, 32, 36), ("wrtc==0.1.0", "aiohttp>=3.14,<4", "numpy>=2")
    ),
)


def available() -> tuple[list[Candidate], dict[str, str]]:
    """Those that can run here, installed if need be, and why the others cannot."""
    found, skipped = [], {}
    for each in CANDIDATES:
        reason = _install(each)
        if reason:
            skipped[each.name] = reason
        else:
            found.append(each)
    return found, skipped


def versions(candidates: list[Candidate]) -> dict[str, str]:
    """Of the packages that are measured."""
    listed = {}
    for each in candidates:
        python = _python(each)
        package = {"vivavoz": "vivavoz", "aiortc": "aiortc", "pipecat": "pipecat-ai", "wrtc": "wrtc"}[
            each.name
        ]
        asked = f"import importlib.metadata as m; print(m.version({package!r}))"
        done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
        listed[each.name] = done.stdout.strip()
    return listed


def _python(candidate: Candidate) -> str:
    return str(VENV / candidate.name / "bin" / "python") if candidate.packages else sys.executable


def _install(candidate: Candidate) -> str:
    """Why its packages cannot be had; empty if they are there. Each has a venv of its own."""
    if not candidate.packages:
        return ""
    folder = VENV / candidate.name
    done = folder / "installed"
    wanted = "\n".join(candidate.packages)
    if done.exists() and done.read_text() == wanted:
        return ""
    print(f"  installing {', '.join(candidate.packages)} into {folder.relative_to(_ROOT)} (once)")
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [_python(candidate), "-m", "pip", "install", "--quiet", "--no-input", *candidate.packages],
    ]
    try:
        for step in steps:
            subprocess.run(step, capture_output=True, text=True, check=True, timeout=_INSTALL_S)
    except subprocess.CalledProcessError as error:
        told = [line for line in (error.stderr or "").splitlines() if line.startswith("ERROR")]
        return told[0] if told else f"pip ended with {error.returncode}"
    except (subprocess.TimeoutExpired, OSError) as error:
        return f"it could not be installed: {error}"
    done.write_text(wanted)
    return ""


@contextlib.contextmanager
def serving(candidate: Candidate, *arguments: str) -> Iterator[rig.Server]:
    """Its server in a process of its own, on the first core, before ordinary ones where that is allowed."""
    port = rig.free_port()
    command = [_python(candidate), str(_SERVERS / candidate.script), str(port), *arguments]
    with (
        tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder,
        rig.process(command, port, {"PYTHONDONTWRITEBYTECODE": "1"}, Path(folder)) as server,
    ):
        rig.precede(server.pid)
        rig.pin(server.pid, 0)
        rig.answers(f"{server.url}/stats", server, 60.0)
        yield server
