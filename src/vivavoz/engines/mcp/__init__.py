"""MCP servers as a model's tools, through the official ``mcp`` client (the extra of that name).

``policy.py`` says which servers may be asked, ``guard.py`` holds every connection to it, ``servers.py`` asks.
Nothing here is imported before it is used: see :func:`tool_servers`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from vivavoz.engines.mcp.policy import Policy

if TYPE_CHECKING:
    from vivavoz.engines.ports import ToolServers


def tool_servers(policy: Policy) -> ToolServers | None:
    """None where the package is not installed."""
    if find_spec("mcp") is None or find_spec("httpx2") is None:
        return None
    from vivavoz.engines.mcp.servers import McpServers

    return McpServers(policy)


__all__ = ["Policy", "tool_servers"]
