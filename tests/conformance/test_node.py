"""The official JavaScript clients in Node.js, over WebSocket."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import KEY, Services, check_turns, run_client
from tests.running import Running

pytestmark = pytest.mark.foreign

JS = Path(__file__).parent / "js"
FIRST_NODE_WITH_WEBSOCKET = 22


def node() -> str:
    found = shutil.which("node")
    if found is None or not (JS / "node_modules").exists():
        pytest.skip("the JavaScript clients are not installed: make test")
    return found


def flags(kind: str, program: str) -> list[str]:
    """Older Nodes have the browser's WebSocket, behind a flag."""
    if kind != "native":
        return []
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    old = int(version.removeprefix("v").partition(".")[0]) < FIRST_NODE_WITH_WEBSOCKET
    return ["--experimental-websocket"] if old else []


@pytest.mark.parametrize("kind", ["ws", "native"])
def test_openai(secured: tuple[Running, Path], wav: Path, kind: str) -> None:
    """It rewrites every address to `wss:`."""
    service, certificate = secured
    program = node()
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)}
    command = [program, *flags(kind, program), "openai_ws.mjs", f"{service.url}/v1", KEY, wav, kind]
    result = run_client(command, JS, environment)
    check_turns(result)
    assert result["interruption"]["cut_ms"] == 300


def test_agents(services: Services, wav: Path) -> None:
    service = services.get("scripted")
    url = f"{service.websocket_url}/realtime?model=gpt-realtime"
    result = run_client([node(), "agents_ws.mjs", url, KEY, wav], JS)
    check_turns(result)
    # Its history is made of items, transcripts that it asks for, and what it cut off.
    assert [role for role, _ in result["history"]] == ["user", "assistant"] * 5
    assert result["history"][4][1] == result["spoken"]["heard"]
