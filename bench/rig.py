"""What all measurements share: servers to measure, their cost, figures, tables and files."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from vivavoz.measuring.figures import aligned, machine
from vivavoz.measuring.figures import percentile as percentile
from vivavoz.measuring.figures import summary as summary

EMBEDDED_INSTRUCTIONS = "You are a friendly voice assistant. Answer in one or two short sentences."
"""What the models are told where they are measured."""

OUT = Path(__file__).parent / "out"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Skipped(Exception):
    """The measurement cannot be made here; the text says why."""


# --------------------------------------------------------------------------- servers


class Server(msgspec.Struct, frozen=True):
    """A process under measurement."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    began: float
    """``time.monotonic()`` just before its start."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
            return dict(json.load(answer))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def vivavoz(
    engines: str = "scripted",
    *,
    script: str | None = None,
    trace_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
    ready_s: float = 120.0,
) -> Iterator[Server]:
    """``vivavoz serve`` in its own process, ready. ``script``: the text of a conversation script."""
    with tempfile.TemporaryDirectory(prefix="vivavoz-bench-") as folder:
        own = {
            "VIVAVOZ_PORT": str(free_port()),
            "VIVAVOZ_UDP_PORT": str(free_port(socket.SOCK_DGRAM)),
            "VIVAVOZ_STATE_DIR": f"{folder}/state",
            "VIVAVOZ_DRAIN_SECONDS": "0",
            "VIVAVOZ_LIMIT_PACE_MS": "0",  # how late it can get is what is measured
        }
        if script is not None:
            Path(folder, "script.toml").write_text(script)
            own["VIVAVOZ_SCRIPT"] = f"{folder}/script.toml"
        if trace_dir is not None:
            own["VIVAVOZ_TRACE_DIR"] = str(trace_dir)
        command = [str(Path(sys.executable).with_name("vivavoz")), "serve", "--engines", engines]
        port = int(own["VIVAVOZ_PORT"])
        with process(command, port, {**own, **(environment or {})}, Path(folder)) as server:
            answers(f"{server.url}/readyz", server, ready_s)
            yield server


@contextlib.contextmanager
def process(
    command: Sequence[str], port: int, environment: Mapping[str, str], folder: Path
) -> Iterator[Server]:
    """A server process until the block ends; its output goes to a file in ``folder``."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VIVAVOZ_")}
    log = folder / "server.log"
    with log.open("wb") as output:
        began = time.monotonic()
        child = subprocess.Popen(
            command, env={**clean, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Server(child, port, log, began)
    except Exception:
        print("the server's last words:", *log.read_text().splitlines()[-20:], sep="\n  ", file=sys.stderr)
        raise
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def answers(url: str, server: Server, within_s: float) -> float:
    """Wait until a URL answers with success; the seconds since the server's start."""
    deadline = server.began + within_s
    while True:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended at its start:\n{server.log.read_text()}")
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(url, timeout=5).close()
            return time.monotonic() - server.began
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} did not answer in {within_s} s:\n{server.log.read_text()}")
        time.sleep(0.02)


async def post_offer(url: str, offer: str, *, key: str | None = None) -> str:
    """The answer to an offer. Raises ``RuntimeError`` with what the service said against it."""
    headers = {"Content-Type": "application/sdp"} | ({"Authorization": f"Bearer {key}"} if key else {})
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/realtime/calls?model=gpt-realtime", data=offer, headers=headers) as response,
    ):
        text = await response.text()
        if response.status not in (200, 201):
            raise RuntimeError(f"{response.status}: {text}")
        return text


async def post(url: str) -> None:
    """An empty request. Raises ``aiohttp.ClientError``."""
    async with aiohttp.ClientSession(raise_for_status=True) as http, http.post(url):
        pass


# --------------------------------------------------------------------------- what a process costs


def cpu_s(pid: int) -> float:
    """User and system time of one process (s), without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def tree(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def tree_cpu_s(pid: int) -> float:
    """User and system time (s) of a process and all that it started."""
    return sum(cpu_s(each) for each in tree(pid))


def tree_pss_mb(pid: int) -> float:
    """Memory of a process and all that it started, what is shared counted by its part (MB)."""
    lines = [
        line for each in tree(pid) for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def rss_mb(pid: int) -> float:
    """Resident memory of one process (MB)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def descriptors(pid: int) -> int:
    """Open files and sockets of one process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there are several."""
    with contextlib.suppress(OSError, ValueError):
        os.sched_setaffinity(pid, {core % (os.cpu_count() or 1)})


def precede(pid: int) -> bool:
    """Let a process (and what it starts from now on) run before all ordinary ones (``SCHED_RR``), so that
    neighbours on the machine are not what is measured; False where that is not allowed."""
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return False
    return True


def precede_nobody() -> None:
    """Let this process be an ordinary one again."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def pin_nowhere() -> None:
    """Let this process run on any core again."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


# --------------------------------------------------------------------------- figures


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that fits best."""
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print it."""
    print(f"\n{title}\n{aligned(columns, rows)}")


def write(name: str, figures: Mapping[str, Any]) -> None:
    """Keep the figures in ``bench/out/<name>.json``."""
    OUT.mkdir(exist_ok=True)
    record = {"measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine(), **figures}
    (OUT / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def embedded_missing() -> str:
    """Why the embedded engines cannot run here; empty if they can."""
    packages = [
        name for name in ("onnxruntime", "moonshine_voice", "hibari", "xllamacpp") if not find_spec(name)
    ]
    if packages:
        return f"not installed: {', '.join(packages)}"
    from vivavoz.engines.embedded.plan import EmbeddedOptions, plan
    from vivavoz.engines.ports import EngineError
    from vivavoz.models import Store

    try:
        planned = plan(EmbeddedOptions(), Store())
    except EngineError as error:
        return error.message
    return "; ".join(stage.detail or stage.name for stage in planned.values() if not stage.present)
