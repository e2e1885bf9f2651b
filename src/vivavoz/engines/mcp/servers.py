"""Asking MCP servers: one connection for each question, so that nothing of one call is left for another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import httpx2
import msgspec
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from vivavoz.engines.mcp.guard import Guard
from vivavoz.engines.mcp.policy import Policy
from vivavoz.engines.ports import EngineError, ToolResult, ToolServer
from vivavoz.wire.base import UNSET
from vivavoz.wire.mcp import ExecutionFailure, HttpFailure, ListedTool, McpFailure, ProtocolFailure
from vivavoz.wire.tools import check_free_form

log = logging.getLogger("vivavoz.engines.mcp")

LIST_S = 20.0
CALL_S = 60.0
MAX_TOOLS = 256
MAX_LIST_BYTES = 512 * 1024
"""Of one server's tools: they travel in one event."""
MAX_OUTPUT_CHARS = 64 * 1024
MAX_MESSAGE_CHARS = 1_000
MAX_PAGES = 16
UNREACHABLE = 502
"""What an HTTP error says where there was no HTTP answer."""

_T = TypeVar("_T")


class McpServers:
    """:class:`~vivavoz.engines.ports.ToolServers` over streamable HTTP."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def list_tools(self, server: ToolServer) -> list[ListedTool]:
        guard = Guard(self._policy)
        try:
            async with asyncio.timeout(LIST_S), _connected(server, guard) as client:
                return _checked(await _all_tools(client))
        except Exception as error:
            raise _as_engine_error(error, guard) from None

    async def call(self, server: ToolServer, name: str, arguments: dict[str, Any]) -> ToolResult:
        guard = Guard(self._policy)
        try:
            async with asyncio.timeout(CALL_S), _connected(server, guard) as client:
                result = await client.call_tool(name, arguments)
        except Exception as error:
            return ToolResult(error=_as_failure(error, guard))
        text = _text_of(result)
        if result.is_error:
            return ToolResult(error=ExecutionFailure(message=text[:MAX_MESSAGE_CHARS] or "The tool failed."))
        return ToolResult(output=text)


@contextlib.asynccontextmanager
async def _connected(server: ToolServer, guard: Guard) -> AsyncIterator[Client]:
    timeout = httpx2.Timeout(10.0, read=CALL_S)
    try:
        http = httpx2.AsyncClient(transport=guard, headers=server.headers, timeout=timeout, trust_env=False)
    except (ValueError, TypeError, UnicodeError):
        raise EngineError("A header for the MCP server cannot be sent.", "mcp_invalid_header") from None
    async with http, Client(streamable_http_client(server.url, http_client=http)) as client:
        yield client


async def _all_tools(client: Client) -> list[Any]:
    tools: list[Any] = []
    cursor = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor or len(tools) > MAX_TOOLS:
            break
    return tools


def _checked(tools: list[Any]) -> list[ListedTool]:
    """Raises EngineError where they would not fit into one event, or not into JSON as we write it."""
    if len(tools) > MAX_TOOLS:
        raise EngineError(f"The MCP server has more than {MAX_TOOLS} tools.", "mcp_too_large")
    listed = [
        ListedTool(
            name=tool.name,
            input_schema=tool.input_schema,
            description=UNSET if tool.description is None else tool.description,
            annotations=(
                UNSET
                if tool.annotations is None
                else tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True)
            ),
        )
        for tool in tools
    ]
    try:
        check_free_form([tool.input_schema for tool in listed])
        size = len(msgspec.json.encode(listed))
    except (ValueError, TypeError, RecursionError):
        raise EngineError("The MCP server describes its tools in no usable way.", "mcp_invalid") from None
    if size > MAX_LIST_BYTES:
        raise EngineError("The MCP server describes its tools at too great a length.", "mcp_too_large")
    return listed


def _text_of(result: Any) -> str:
    """What the tool says, as text; other content is named."""
    said = [part.text if part.type == "text" else f"[{part.type}]" for part in result.content]
    if not said and result.structured_content is not None:
        said = [msgspec.json.encode(result.structured_content).decode()]
    text = "\n".join(said)
    return text if len(text) <= MAX_OUTPUT_CHARS else text[:MAX_OUTPUT_CHARS] + "\n[cut]"


def _as_failure(error: Exception, guard: Guard) -> McpFailure:
    cause = _cause(error)
    if isinstance(cause, MCPError) and guard.status in (0, 200, 202, 400, 404):
        return ProtocolFailure(code=cause.code, message=cause.message[:MAX_MESSAGE_CHARS])
    known = _as_engine_error(error, guard)
    return HttpFailure(code=guard.status if guard.status >= 400 else UNREACHABLE, message=known.message)


def _as_engine_error(error: Exception, guard: Guard) -> EngineError:
    """What went wrong, in words that hold no address, header or answer of the server's."""
    cause = _cause(error)
    if isinstance(cause, EngineError):
        known = cause
    elif isinstance(cause, TimeoutError | httpx2.TimeoutException):
        known = EngineError("The MCP server did not answer in time.", "mcp_timeout")
    elif guard.status >= 400:
        known = EngineError(f"The MCP server answered with HTTP status {guard.status}.", "mcp_http_error")
    elif isinstance(cause, MCPError):
        known = EngineError(f"The MCP server refused (code {cause.code}).", "mcp_protocol_error")
    elif isinstance(cause, httpx2.HTTPError | httpx2.InvalidURL | OSError):
        known = EngineError("The MCP server could not be reached.", "mcp_unreachable")
    else:
        log.warning("asking an MCP server failed: %s", type(cause).__name__)
        known = EngineError("The MCP server could not be asked.", "mcp_failed")
    return known


def _cause(error: BaseException) -> BaseException:
    """The first error that is not a group of errors; one of ours wherever it is."""
    ours = _find(error, lambda found: found if isinstance(found, EngineError) else None)
    return ours or _find(error, lambda found: found) or error


def _find(error: BaseException, wanted: Callable[[BaseException], _T | None]) -> _T | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _find(inner, wanted))), None)
    return wanted(error) or (_find(error.__cause__, wanted) if error.__cause__ is not None else None)


__all__ = ["McpServers"]
