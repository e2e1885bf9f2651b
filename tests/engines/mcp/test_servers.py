"""Asking a real MCP server: what it offers and does, what it may not do, and where nobody may go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.engines.mcp.server import LOOPBACK, Maths, serving
from vivavoz.engines.mcp import Policy, guard, servers
from vivavoz.engines.mcp.servers import McpServers
from vivavoz.engines.ports import EngineError, ToolServer
from vivavoz.wire.mcp import ExecutionFailure, HttpFailure, ProtocolFailure

ON_LOOPBACK = McpServers(Policy(networks=LOOPBACK))


@pytest_asyncio.fixture
async def maths() -> AsyncIterator[Maths]:
    async with serving() as maths:
        yield maths


async def code_of(asking: McpServers, url: str) -> str:
    with pytest.raises(EngineError) as refused:
        await asking.list_tools(ToolServer(url=url))
    return refused.value.code


async def test_its_tools_are_listed(maths: Maths) -> None:
    tools = {tool.name: tool for tool in await ON_LOOPBACK.list_tools(ToolServer(url=maths.mcp))}
    assert {"add", "divide"} <= set(tools)
    assert tools["add"].description == "Adds two numbers."
    assert tools["add"].input_schema["required"] == ["a", "b"]
    assert tools["add"].annotations == {"readOnlyHint": True}


async def test_a_tool_is_called_with_the_headers(maths: Maths) -> None:
    server = ToolServer(url=maths.mcp, headers={"Authorization": "Bearer t", "x-key": "k"})
    result = await ON_LOOPBACK.call(server, "add", {"a": 1, "b": 2})
    assert (result.output, result.error) == ("3", None)
    assert maths.headers[0]["authorization"] == "Bearer t"
    assert maths.headers[0]["x-key"] == "k"
    assert maths.headers[0]["host"] in maths.url


async def test_what_fails_is_told_by_its_kind(maths: Maths) -> None:
    server = ToolServer(url=maths.mcp)
    failed = (await ON_LOOPBACK.call(server, "divide", {"a": 1, "b": 0})).error
    assert isinstance(failed, ExecutionFailure)
    assert "division by zero" in failed.message
    unknown = (await ON_LOOPBACK.call(server, "multiply", {})).error
    assert isinstance(unknown, ExecutionFailure | ProtocolFailure)
    forbidden = (await ON_LOOPBACK.call(ToolServer(url=f"{maths.url}/forbidden"), "add", {})).error
    assert isinstance(forbidden, HttpFailure)
    assert forbidden.code == 403
    assert "secret" not in forbidden.message
    gone = (await ON_LOOPBACK.call(ToolServer(url="http://127.0.0.1:9/mcp"), "add", {})).error
    assert gone == HttpFailure(code=502, message="The MCP server could not be reached.")


async def test_what_is_too_long_is_cut_or_refused(maths: Maths, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ToolServer(url=maths.mcp)
    long = await ON_LOOPBACK.call(server, "shout", {"length": 100_000})
    assert long.output is not None
    assert len(long.output) == servers.MAX_OUTPUT_CHARS + len("\n[cut]")
    monkeypatch.setattr(servers, "MAX_LIST_BYTES", 100)
    assert await code_of(ON_LOOPBACK, maths.mcp) == "mcp_too_large"
    monkeypatch.setattr(servers, "MAX_TOOLS", 1)
    assert await code_of(ON_LOOPBACK, maths.mcp) == "mcp_too_large"
    assert await code_of(ON_LOOPBACK, f"{maths.url}/flood") == "mcp_too_large"
    monkeypatch.setattr(guard, "MAX_RESPONSE_BYTES", 10)
    assert await code_of(ON_LOOPBACK, maths.mcp) == "mcp_too_large"


async def test_a_tool_that_never_returns_is_given_up(maths: Maths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "CALL_S", 0.5)
    result = await ON_LOOPBACK.call(ToolServer(url=maths.mcp), "sleep", {})
    assert isinstance(result.error, HttpFailure)
    assert result.error.message == "The MCP server did not answer in time."


async def test_a_redirect_within_the_server_is_followed_and_no_other(maths: Maths) -> None:
    assert await ON_LOOPBACK.list_tools(ToolServer(url=f"{maths.url}/here"))
    async with serving() as other:
        port = other.url.rpartition(":")[2]
        with pytest.raises(EngineError):
            await ON_LOOPBACK.list_tools(ToolServer(url=f"{maths.url}/elsewhere/{port}"))
        assert other.headers == []
    with pytest.raises(EngineError):
        await ON_LOOPBACK.list_tools(ToolServer(url=f"{maths.url}/away"))


async def test_loopback_is_refused_unless_it_is_named(maths: Maths) -> None:
    asking = McpServers(Policy())
    assert await code_of(asking, maths.mcp) == "mcp_refused"
    assert await code_of(asking, maths.mcp.replace("127.0.0.1", "localhost")) == "mcp_refused"
    result = await asking.call(ToolServer(url=maths.mcp), "add", {"a": 1, "b": 2})
    assert isinstance(result.error, HttpFailure)
    assert maths.headers == []


async def test_a_host_that_is_not_listed_is_refused(maths: Maths) -> None:
    policy = Policy(hosts=("mcp.example.com",), networks=LOOPBACK)
    assert await code_of(McpServers(policy), maths.mcp) == "mcp_refused"


async def test_every_address_is_checked_when_it_is_used(
    maths: Maths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to a private address, alone or beside a public one."""

    async def resolve(host: str, port: int) -> list[str]:
        return {"inside.example": ["10.0.0.1"], "both.example": ["93.184.216.34", "127.0.0.1"]}[host]

    monkeypatch.setattr(guard, "_resolve", resolve)
    asking = McpServers(Policy())
    assert await code_of(asking, "https://inside.example/mcp") == "mcp_refused"
    assert await code_of(asking, "https://both.example/mcp") == "mcp_refused"


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a/b", "file:///etc/passwd", "http://", "https://u:p@127.0.0.1/"]
)
async def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    assert await code_of(ON_LOOPBACK, url) in ("mcp_refused", "mcp_unreachable", "mcp_failed")


async def test_a_header_that_is_none_is_refused(maths: Maths) -> None:
    with pytest.raises(EngineError) as refused:
        await ON_LOOPBACK.list_tools(ToolServer(url=maths.mcp, headers={"x": "a\r\nHost: b"}))
    assert "Host: b" not in refused.value.message
