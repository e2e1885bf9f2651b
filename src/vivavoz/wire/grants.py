"""What a client secret allows its holder, beyond opening a session (an extension: docs/observers.md).

Bound when the secret is minted; nothing that the holder sends later widens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from vivavoz.wire.base import ClosedFixed
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.mcp import McpTool
from vivavoz.wire.options import AnyPatch
from vivavoz.wire.tools import FunctionTool, Tool

MAX_CALLS = 100
"""Of one client secret whose calls are counted."""

Filter = Literal["off", "on", "strict"]
"""Which events a media client over WebRTC is sent. ``on``: the eleven types of Azure's ``webrtcfilter=on``.
``strict``: of those, nothing about tools, system messages and items marked private."""

ClientEventName = Literal[
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "input_audio_buffer.append",
    "input_audio_buffer.clear",
    "input_audio_buffer.commit",
    "output_audio_buffer.clear",
    "response.cancel",
    "response.create",
    "session.update",
]

ToolName = Annotated[str, Meta(min_length=1, max_length=256)]


class Grant(ClosedFixed, frozen=True):
    """Of every member, null (or its absence) means: not limited."""

    filter: Literal["on", "strict"] | None = None
    """The filter of the calls, whatever their URL says. Such a secret opens WebRTC calls only."""
    client_events: Annotated[tuple[ClientEventName, ...], Meta(max_length=32)] | None = None
    """What the media client may send; without ``session.update`` it may bring no session of its own."""
    max_calls: Annotated[int, Meta(ge=1, le=MAX_CALLS)] | None = None
    max_seconds: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    """How long each call may last; never longer than the service lets any call last."""
    label: Annotated[str, Meta(max_length=120)] | None = None
    """Shown in the list of calls."""
    tools: Annotated[tuple[ToolName, ...], Meta(max_length=64)] | None = None
    """Functions, and labels of MCP servers, that the session may have."""

    def check_tools(self, tools: Sequence[Tool], param: str) -> None:
        """Raises :class:`ProtocolError` for a tool that is not granted."""
        if self.tools is None:
            return
        for number, tool in enumerate(tools):
            if tool_name(tool) not in self.tools:
                raise ProtocolError(
                    f"The tool '{tool_name(tool)[:120]}' is not granted to this session.",
                    code="tool_not_granted",
                    param=f"{param}[{number}]",
                )

    def check_session(self, session: AnyPatch | None, param: str) -> None:
        """The tools of a session. Raises :class:`ProtocolError`."""
        tools = getattr(session, "tools", None)
        if isinstance(tools, list):
            self.check_tools(tools, f"{param}.tools")


def tool_name(tool: Tool) -> str:
    """By which a grant names it."""
    match tool:
        case FunctionTool():
            return tool.name
        case McpTool():
            return tool.server_label
