"""MCP servers for one call: who asks them, and the credentials that nobody else shall see.

Credentials are taken out of what a client says before the session hears it, and a reference is left: so they
are in no session object, no trace and no dump. They are put back when the server is asked.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from vivavoz.engines.ports import EngineError, ToolResult, ToolServer, ToolServers
from vivavoz.session.effects import CallTool, ListTools
from vivavoz.wire.base import UNSET, replace
from vivavoz.wire.client_events import ClientEvent, ResponseCreate, SessionUpdate
from vivavoz.wire.mcp import ExecutionFailure, ListedTool, McpTool
from vivavoz.wire.options import AnyPatch, SessionPatch
from vivavoz.wire.responses import ResponsePatch

MAX_CREDENTIALS = 256
"""Kept for one call; beyond it the oldest are forgotten."""

_Patch = TypeVar("_Patch", SessionPatch, ResponsePatch)


class RemoteTools:
    """``servers`` None: there is nobody to ask."""

    def __init__(self, servers: ToolServers | None = None) -> None:
        self._servers = servers
        self._credentials: dict[str, dict[str, str]] = {}
        self._count = 0

    # ---------------------------------------------------------------------------- on the way in

    def sealed_session(self, patch: AnyPatch | None) -> AnyPatch | None:
        return self._sealed(patch) if isinstance(patch, SessionPatch) else patch

    def sealed_event(self, event: ClientEvent) -> ClientEvent:
        if isinstance(event, SessionUpdate) and isinstance(event.session, SessionPatch):
            return replace(event, session=self._sealed(event.session))
        if isinstance(event, ResponseCreate) and isinstance(event.response, ResponsePatch):
            return replace(event, response=self._sealed(event.response))
        return event

    def _sealed(self, patch: _Patch) -> _Patch:
        if not isinstance(patch.tools, list) or not any(isinstance(tool, McpTool) for tool in patch.tools):
            return patch
        tools = [self._without_secrets(tool) if isinstance(tool, McpTool) else tool for tool in patch.tools]
        return replace(patch, tools=tools)

    def _without_secrets(self, tool: McpTool) -> McpTool:
        headers = dict(tool.headers) if isinstance(tool.headers, dict) else {}
        if isinstance(tool.authorization, str) and tool.authorization:
            headers["Authorization"] = f"Bearer {tool.authorization}"
        reference = self._keep(headers) if headers else UNSET
        return replace(tool, authorization=reference, headers=UNSET)

    def _keep(self, headers: dict[str, str]) -> str:
        for reference, known in self._credentials.items():
            if known == headers:
                return reference
        if len(self._credentials) >= MAX_CREDENTIALS:
            del self._credentials[next(iter(self._credentials))]
        self._count += 1
        reference = f"credentials-{self._count}"
        self._credentials[reference] = headers
        return reference

    # ---------------------------------------------------------------------------- on the way out

    async def list_tools(self, task: ListTools) -> list[ListedTool]:
        """Raises EngineError."""
        return await self._asked().list_tools(self._server(task.tool))

    async def call(self, task: CallTool) -> ToolResult:
        """Raises EngineError where there is nobody to ask."""
        try:
            arguments: Any = msgspec.json.decode(task.arguments or "{}")
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            arguments = None
        if not isinstance(arguments, dict):
            return ToolResult(error=ExecutionFailure(message="The arguments are no JSON object."))
        return await self._asked().call(self._server(task.tool), task.name, arguments)

    def _asked(self) -> ToolServers:
        if self._servers is None:
            raise EngineError("This server cannot ask MCP servers.", "mcp_unavailable")
        return self._servers

    def _server(self, tool: McpTool) -> ToolServer:
        reference = tool.authorization if isinstance(tool.authorization, str) else ""
        return ToolServer(url=tool.server_url, headers=self._credentials.get(reference, {}))
