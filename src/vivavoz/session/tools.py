"""What MCP servers offer, and what of it a model may use in one response.

A model knows functions and nothing else: each tool of a server is one, under a name that is like no other,
and a :class:`Target` remembers whose it is.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from vivavoz.wire.base import Data, Fixed
from vivavoz.wire.mcp import ApprovalFilter, ListedTool, McpChoice, McpTool, ToolFilter
from vivavoz.wire.tools import FunctionTool, NamedFunction, Tool, ToolChoice

MAX_SERVERS = 32
"""Different MCP servers one session may ever have asked for."""

_UNFIT = re.compile("[^A-Za-z0-9_-]")
_MAX_NAME = 64


class Server(Data):
    """One MCP server: the item that lists its tools, and the job that is still asking for them."""

    item_id: str
    previous: str | None
    job: int | None
    tools: list[ListedTool] = []


class Target(Fixed, frozen=True):
    """The tool that a function stands for. ``asks``: only with the client's approval."""

    tool: McpTool
    name: str
    asks: bool


class Offer(NamedTuple):
    functions: list[FunctionTool]
    choice: Literal["none", "auto", "required"] | NamedFunction
    targets: dict[str, Target]


def key_of(tool: McpTool) -> str:
    """What makes two configurations one server: where it is, what it is called, and who asks."""
    return f"{tool.server_label}\n{tool.server_url}\n{tool.authorization}"


def mcp_tools(tools: list[Tool]) -> list[McpTool]:
    return [tool for tool in tools if isinstance(tool, McpTool)]


def offer(servers: dict[str, Server], tools: list[Tool], choice: ToolChoice, *, asking: bool) -> Offer:
    """What the model is given. Without ``asking``, tools that need an approval are left out."""
    functions = [tool for tool in tools if isinstance(tool, FunctionTool)]
    taken = {tool.name for tool in functions}
    targets: dict[str, Target] = {}
    for tool in mcp_tools(tools):
        server = servers.get(key_of(tool))
        for listed in server.tools if server is not None else ():
            target = Target(tool=tool, name=listed.name, asks=_asks(tool, listed))
            if not _allowed(tool, listed) or (target.asks and not asking):
                continue
            name = _name(tool, listed, taken)
            taken.add(name)
            targets[name] = target
            description = listed.description if isinstance(listed.description, str) else None
            functions.append(FunctionTool(name=name, description=description, parameters=listed.input_schema))
    if not isinstance(choice, McpChoice):
        return Offer(functions, choice, targets)
    return _chosen(choice, functions, targets)


def _chosen(choice: McpChoice, functions: list[FunctionTool], targets: dict[str, Target]) -> Offer:
    """A tool of one server must be used: with a name, that one; else any of that server's."""
    fitting = [
        name
        for name, target in targets.items()
        if target.tool.server_label == choice.server_label
        and (not isinstance(choice.name, str) or target.name == choice.name)
    ]
    if not fitting:
        return Offer(functions, "auto", targets)
    if isinstance(choice.name, str):
        return Offer(functions, NamedFunction(name=fitting[0]), targets)
    return Offer([function for function in functions if function.name in fitting], "required", targets)


def model_name(name: str) -> str:
    """A tool's name as models can write it."""
    return _UNFIT.sub("_", name)[:_MAX_NAME]


def _name(tool: McpTool, listed: ListedTool, taken: set[str]) -> str:
    """The tool's own name, told apart by its server's label where it must be."""
    name = model_name(listed.name)
    if name in taken:
        name = f"{tool.server_label}_{name}"[:_MAX_NAME]
    number = 2
    while name in taken:
        name, number = f"{name[: _MAX_NAME - 4]}_{number}", number + 1
    return name


def _allowed(tool: McpTool, listed: ListedTool) -> bool:
    match tool.allowed_tools:
        case ToolFilter() as filter:
            return _fits(filter, listed)
        case list() as names:
            return listed.name in names
    return True


def _asks(tool: McpTool, listed: ListedTool) -> bool:
    """ "always" is the default; of two filters the one that asks wins, and a tool in neither asks."""
    rule = tool.require_approval
    if isinstance(rule, ApprovalFilter):
        if isinstance(rule.always, ToolFilter) and _fits(rule.always, listed):
            return True
        return not (isinstance(rule.never, ToolFilter) and _fits(rule.never, listed))
    return rule != "never"


def _fits(filter: ToolFilter, listed: ListedTool) -> bool:
    """All that the filter says must hold."""
    if isinstance(filter.tool_names, list) and listed.name not in filter.tool_names:
        return False
    if isinstance(filter.read_only, bool):
        annotations = listed.annotations if isinstance(listed.annotations, dict) else {}
        return (annotations.get("readOnlyHint") is True) == filter.read_only
    return True
