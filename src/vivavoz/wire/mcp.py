"""MCP servers as tools: how a client configures one, and the items that tell of its use (Realtime reference,
"MCP tools")."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from vivavoz.wire.base import UNSET, Closed, ClosedFixed, Data, Fixed, UnsetType, replace

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Names = Annotated[list[Name], Meta(max_length=512)]


# ------------------------------------------------------------------------------------- configuration


class ToolFilter(ClosedFixed, frozen=True):
    """The tools that are named, or (``read_only``) whose server says whether they change anything."""

    tool_names: Names | UnsetType | None = UNSET
    read_only: bool | UnsetType | None = UNSET


class ApprovalFilter(ClosedFixed, frozen=True):
    always: ToolFilter | UnsetType | None = UNSET
    never: ToolFilter | UnsetType | None = UNSET


class McpTool(ClosedFixed, frozen=True, tag_field="type", tag="mcp"):
    """``authorization`` (an OAuth access token) and ``headers`` go to the MCP server and nowhere else."""

    server_label: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    server_url: Annotated[str, Meta(min_length=1, max_length=2048)]
    server_description: str | UnsetType | None = UNSET
    authorization: Annotated[str, Meta(max_length=16_384)] | UnsetType | None = UNSET
    headers: (
        Annotated[
            dict[Annotated[str, Meta(max_length=256)], Annotated[str, Meta(max_length=16_384)]],
            Meta(max_length=64),
        ]
        | UnsetType
        | None
    ) = UNSET
    allowed_tools: Names | ToolFilter | UnsetType | None = UNSET
    require_approval: Literal["always", "never"] | ApprovalFilter | UnsetType | None = UNSET


class McpChoice(ClosedFixed, frozen=True, tag_field="type", tag="mcp"):
    """``tool_choice``: one tool of a server, or any of them."""

    server_label: str
    name: str | UnsetType | None = UNSET


def shown(tool: McpTool) -> McpTool:
    """The tool as a client may see it again."""
    return replace(tool, authorization=UNSET, headers=UNSET)


# ------------------------------------------------------------------------------------- items


class ListedTool(Fixed, frozen=True):
    """A tool as its server describes it. ``input_schema``: JSON schema."""

    name: str
    input_schema: dict[str, Any]
    description: str | UnsetType = UNSET
    annotations: dict[str, Any] | UnsetType = UNSET


class McpListTools(Data, tag_field="type", tag="mcp_list_tools"):
    id: str
    server_label: str
    tools: list[ListedTool]


class ProtocolFailure(Fixed, frozen=True, tag_field="type", tag="protocol_error"):
    code: int
    message: str


class ExecutionFailure(Fixed, frozen=True, tag_field="type", tag="tool_execution_error"):
    message: str


class HttpFailure(Fixed, frozen=True, tag_field="type", tag="http_error"):
    code: int
    message: str


McpFailure = ProtocolFailure | ExecutionFailure | HttpFailure


class McpCall(Data, tag_field="type", tag="mcp_call"):
    """Null where there is none: a client breaks where ``output`` is missing."""

    id: str
    server_label: str
    name: str
    arguments: str
    approval_request_id: str | None = None
    output: str | None = None
    error: McpFailure | None = None


class McpApprovalRequest(Data, tag_field="type", tag="mcp_approval_request"):
    id: str
    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(Closed, tag_field="type", tag="mcp_approval_response"):
    """The one of these items that a client makes."""

    approval_request_id: str
    approve: bool
    id: str | UnsetType = UNSET
    reason: str | UnsetType | None = UNSET
    object: Literal["realtime.item"] | UnsetType = UNSET


McpItem = McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse
