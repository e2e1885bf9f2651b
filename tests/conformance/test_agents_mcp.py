"""`@openai/agents-realtime` in Node with the tools of an MCP server, approved or not in need of it."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.engines.mcp.server import LOOPBACK
from tests.engines.mcp.server import serving as maths_serving
from tests.server.test_end_to_end import KEY, config, serving
from vivavoz.config import Mcp

JS = Path(__file__).parent / "js"

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(
        shutil.which("node") is None or not (JS / "node_modules/@openai/agents-realtime").exists(),
        reason="needs Node and the packages of tests/conformance/js",
    ),
]


@pytest.mark.parametrize(("approval", "approvals"), [("never", 0), ("always", 1)])
async def test_a_tool_of_an_mcp_server(approval: str, approvals: int, tmp_path: Path) -> None:
    service = replace(config(tmp_path), mcp=Mcp(networks=LOOPBACK))
    async with maths_serving() as maths, serving(service, KEY) as url:
        socket = url.replace("http", "ws", 1) + "/v1/realtime?model=gpt-realtime"
        node = await asyncio.create_subprocess_exec(
            *("node", str(JS / "agents_mcp.mjs"), socket, KEY, maths.mcp, approval),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                said, wrong = await node.communicate()
        finally:
            if node.returncode is None:
                node.kill()
                await node.wait()
    assert node.returncode == 0, wrong.decode()
    told: dict[str, Any] = json.loads(said)
    assert told["errors"] == []
    assert "add" in told["tools"]
    assert told["approvals"] == approvals
    (call,) = told["calls"]
    assert (call["name"], call["status"]) == ("add", "completed")
    assert call["output"] in told["answer"]
