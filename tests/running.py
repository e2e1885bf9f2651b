"""A real vivavoz, started as a person starts it, on loopback ports of its own, for tests from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_WITHIN_S = 90.0
ENDS_WITHIN_S = 20.0
STARTS = 3


class PortTaken(AssertionError):
    """A port that was free is not any more."""


@dataclass
class Running:
    """A service that answers. ``key`` is None where it asks for none."""

    process: subprocess.Popen[bytes]
    port: int
    key: str | None
    log: Path
    tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/v1"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def mint(self, session: Mapping[str, Any] | None = None) -> str:
        """A client secret, asked for as a back end does."""
        body = json.dumps({"session": session or {"type": "realtime", "model": "gpt-realtime"}}).encode()
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url}/v1/realtime/client_secrets", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["value"])

    def wait_for_calls(self, count: int, within_s: float = 10.0) -> None:
        """Wait until exactly so many calls are alive."""
        deadline = time.monotonic() + within_s
        while self.get("/healthz")["calls"] != count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.get('/healthz')['calls']} calls are alive, not {count}")
            time.sleep(0.1)

    def kill(self) -> None:
        """As a crash ends it: no goodbye to anybody."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """As a supervisor ends it."""
        self.process.send_signal(signal.SIGTERM)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(running: Running) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        if running.process.poll() is not None:
            said = running.log.read_text()
            kind = PortTaken if " is in use" in said else AssertionError
            raise kind(f"vivavoz ended at its start:\n{said}")
        # A connection is all that is asked of a service behind TLS: its certificate is the test's own.
        with contextlib.suppress(OSError, urllib.error.URLError):
            if running.tls:
                socket.create_connection(("127.0.0.1", running.port), 1).close()
            else:
                running.get("/readyz")
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"vivavoz was not ready in {READY_WITHIN_S} s:\n{running.log.read_text()}")
        time.sleep(0.1)


@contextlib.contextmanager
def vivavoz(
    folder: Path,
    *,
    engines: str = "scripted",
    script: Path | None = None,
    key: str | None = None,
    tls: tuple[Path, Path] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run the service until the block ends. ``folder`` takes its log and its state.

    ``tls`` is a certificate and its key. Raises AssertionError where it does not come up.
    """
    own = {
        "VIVAVOZ_STATE_DIR": str(folder / "state"),
        "VIVAVOZ_DRAIN_SECONDS": "1",
        "VIVAVOZ_LIMIT_PACE_MS": "0",  # tests run on machines that are busy with other tests
    }
    if script is not None:
        own["VIVAVOZ_SCRIPT"] = str(script)
    if key is not None:
        own["VIVAVOZ_API_KEY"] = key
    if tls is not None:
        own |= {"VIVAVOZ_TLS": "true", "VIVAVOZ_TLS_CERT": str(tls[0]), "VIVAVOZ_TLS_KEY": str(tls[1])}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("VIVAVOZ_")}
    given = {**own, **(environment or {})}
    running = _ready(folder, ["serve", "--engines", engines], outside, given, key=key, tls=tls is not None)
    try:
        yield running
    finally:
        _end(running.process)


def _ready(
    folder: Path, arguments: list[str], outside: Mapping[str, str], given: Mapping[str, str], **shape: Any
) -> Running:
    """A free port can be taken by somebody else before the service has it: then it is another one's turn."""
    starts = 0
    while True:
        starts += 1
        running = _started(folder, arguments, outside, given, **shape)
        try:
            _wait_until_ready(running)
            return running
        except PortTaken:
            if starts == STARTS:
                raise
        except BaseException:
            _end(running.process)
            raise


def _started(
    folder: Path,
    arguments: list[str],
    outside: Mapping[str, str],
    given: Mapping[str, str],
    *,
    key: str | None,
    tls: bool,
) -> Running:
    port = free_port()
    ports = {"VIVAVOZ_PORT": str(port), "VIVAVOZ_UDP_PORT": str(free_port(socket.SOCK_DGRAM))}
    log = folder / f"vivavoz-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("vivavoz"), *arguments],
            env={**outside, **ports, **given},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Running(process, port, key, log, tls)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
