"""MCP tools from end to end: the official SDK on one side, a real MCP server on the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI

from tests.engines.mcp.server import LOOPBACK, Maths
from tests.engines.mcp.server import serving as maths_serving
from tests.server.test_end_to_end import KEY, config, serving
from vivavoz.config import Mcp

TOKEN = "a-token-for-the-mcp-server"
HEADER = "a-header-for-the-mcp-server"


def tool(maths: Maths, **members: Any) -> Any:
    return {
        "type": "mcp",
        "server_label": "maths",
        "server_url": maths.mcp,
        "authorization": TOKEN,
        "headers": {"x-key": HEADER},
        "allowed_tools": ["add"],
        **members,
    }


async def until(connection: Any, kind: str) -> list[Any]:
    """The events up to one of this kind."""
    seen = []
    async for event in connection:
        assert event.type != "error", event
        seen.append(event)
        if event.type == kind:
            return seen
    raise AssertionError(f"the connection closed before {kind}")


async def ask(connection: Any, text: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await connection.conversation.item.create(item=item)
    await connection.response.create(response={"output_modalities": ["text"]})


async def test_a_tool_is_listed_called_and_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    traces = tmp_path / "traces"
    service = replace(config(tmp_path, trace_dir=str(traces)), mcp=Mcp(networks=LOOPBACK))
    async with maths_serving() as maths, serving(service, KEY) as url, asyncio.timeout(60):
        async with (
            AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
            client.realtime.connect(model="gpt-realtime") as connection,
        ):
            never = tool(maths, require_approval="never")
            await connection.session.update(session={"type": "realtime", "tools": [never]})
            listed = await until(connection, "mcp_list_tools.completed")
            await ask(connection, "Please add two numbers")
            seen = listed + await until(connection, "response.done")
        kinds = [event.type for event in seen]
        order = [
            "mcp_list_tools.in_progress",
            "mcp_list_tools.completed",
            "response.created",
            "response.output_item.added",
            "response.mcp_call_arguments.delta",
            "response.mcp_call_arguments.done",
            "response.mcp_call.in_progress",
            "response.mcp_call.completed",
            "response.output_item.done",
            "response.output_text.done",
            "response.done",
        ]
        assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
        call, message = seen[-1].response.output
        assert (call.type, call.name, call.server_label, call.error) == ("mcp_call", "add", "maths", None)
        assert call.output in message.content[0].text
        assert maths.headers[0]["authorization"] == f"Bearer {TOKEN}"
        assert maths.headers[0]["x-key"] == HEADER
    told = "".join(event.model_dump_json() for event in seen)
    written = b"".join(path.read_bytes() for path in traces.iterdir())
    assert b"server_url" in written
    for secret in (TOKEN, HEADER):
        assert secret not in told
        assert secret.encode() not in written
        assert secret not in caplog.text


async def test_a_tool_that_needs_approval(tmp_path: Path) -> None:
    service = replace(config(tmp_path), mcp=Mcp(networks=LOOPBACK))
    async with maths_serving() as maths, serving(service, KEY) as url, asyncio.timeout(60):
        async with AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client:
            secret = await client.realtime.client_secrets.create(
                session={"type": "realtime", "tools": [tool(maths)]}
            )
            assert TOKEN not in secret.model_dump_json()
        async with (
            AsyncOpenAI(base_url=url + "/v1", api_key=secret.value) as client,
            client.realtime.connect() as connection,
        ):
            await until(connection, "mcp_list_tools.completed")
            await ask(connection, "Please add two numbers")
            request = (await until(connection, "response.done"))[-1].response.output[0]
            assert (request.type, request.name) == ("mcp_approval_request", "add")
            assert maths.headers == []
            answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
            await connection.conversation.item.create(item=answer)
            call, message = (await until(connection, "response.done"))[-1].response.output
            assert call.approval_request_id == request.id
            assert call.output in message.content[0].text


@pytest.mark.parametrize("settings", [Mcp(), Mcp(hosts=("mcp.example.com",), networks=LOOPBACK)])
async def test_a_server_that_may_not_be_asked_is_not(settings: Mcp, tmp_path: Path) -> None:
    service = replace(config(tmp_path), mcp=settings)
    async with maths_serving() as maths, serving(service, KEY) as url, asyncio.timeout(60):
        async with (
            AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
            client.realtime.connect(model="gpt-realtime") as connection,
        ):
            await connection.session.update(session={"type": "realtime", "tools": [tool(maths)]})
            await until(connection, "mcp_list_tools.failed")
        assert maths.headers == []


async def test_mcp_can_be_switched_off(tmp_path: Path) -> None:
    service = replace(config(tmp_path), mcp=Mcp(enabled=False))
    async with (
        serving(service, KEY) as url,
        asyncio.timeout(60),
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        tools: Any = [{"type": "mcp", "server_label": "a", "server_url": "https://a.example"}]
        await connection.session.update(session={"type": "realtime", "tools": tools})
        async for event in connection:
            if event.type == "error":
                assert event.error.param == "session.tools"
                assert "MCP tools are not available" in event.error.message
                break
