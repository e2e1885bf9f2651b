"""MCP servers as a model's tools, through the official ``mcp`` client (the extra of that name).

``policy.py`` says which servers may be asked, ``guard.py`` holds every connection to it, ``servers.py`` asks.
The client takes the better part of a second to import and some 30 MB: that is spent when the first session
names a server, on a thread, so that it delays neither the start nor anybody's sound.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from vivavoz.engines.mcp.policy import Policy
from vivavoz.wire.mcp import ListedTool

if TYPE_CHECKING:
    from vivavoz.engines.ports import ToolResult, ToolServer, ToolServers


def tool_servers(policy: Policy) -> ToolServers | None:
    """None where the package is not installed."""
    if find_spec("mcp") is None or find_spec("httpx2") is None:
        return None
    return _AtFirstUse(policy)


class _AtFirstUse:
    """:class:`~vivavoz.engines.mcp.servers.McpServers`, loaded when it is first asked."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._loading = asyncio.Lock()
        self._servers: ToolServers | None = None

    async def list_tools(self, server: ToolServer) -> list[ListedTool]:
        return await (await self._loaded()).list_tools(server)

    async def call(self, server: ToolServer, name: str, arguments: dict[str, Any]) -> ToolResult:
        return await (await self._loaded()).call(server, name, arguments)

    async def _loaded(self) -> ToolServers:
        async with self._loading:
            if self._servers is None:
                module = await asyncio.to_thread(import_module, "vivavoz.engines.mcp.servers")
                self._servers = module.McpServers(self._policy)
        return self._servers


__all__ = ["Policy", "tool_servers"]
