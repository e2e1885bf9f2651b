"""MCP servers in a session: their tools are listed, approvals come and go, calls return.

The order of events is that of the Realtime reference and its guides; where they are silent, the choices are
in ``docs/compatibility.md``.
"""

from __future__ import annotations

from vivavoz.session import rules
from vivavoz.session.effects import ListTools
from vivavoz.session.entry import Entry
from vivavoz.session.jobs import Job, Kind
from vivavoz.session.output import Output
from vivavoz.session.response import Response
from vivavoz.session.state import Decision, Settings, State
from vivavoz.session.tools import MAX_SERVERS, Server, key_of, mcp_tools
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.mcp import ListedTool, McpApprovalResponse, McpFailure, McpListTools
from vivavoz.wire.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
)
from vivavoz.wire.tools import Tool

# ------------------------------------------------------------------------------------- listing


def check_available(settings: Settings, tools: list[Tool], param: str) -> None:
    """Whether there is anybody to ask. Raises :class:`ProtocolError`."""
    if mcp_tools(tools) and not settings.mcp:
        raise invalid_value(
            "MCP tools are not available: they are switched off on this server, or its 'mcp' extra is not "
            "installed.",
            param,
        )


def check(state: State, tools: list[Tool], param: str) -> None:
    """Whether these servers can be asked for their tools. Raises :class:`ProtocolError`."""
    check_available(state.settings, tools, param)
    wanted = {key_of(tool) for tool in mcp_tools(tools)}
    if len(wanted | state.servers.keys()) > MAX_SERVERS:
        raise invalid_value(f"A session may use at most {MAX_SERVERS} MCP servers.", param)


def list_tools(state: State, out: Output, tools: list[Tool]) -> None:
    """Ask each server for its tools, once: ``mcp_list_tools`` items come by themselves."""
    for tool in mcp_tools(tools):
        key = key_of(tool)
        if key in state.servers:
            continue
        item = McpListTools(id=out.ids.next("mcpl"), server_label=tool.server_label, tools=[])
        previous = state.conversation.append(Entry(item=item))
        out.send(ConversationItemAdded, previous_item_id=previous, item=item)
        out.send(McpListToolsInProgress, item_id=item.id)
        job = state.jobs.start(out, Kind.LIST_TOOLS, key, ListTools(tool=tool))
        state.servers[key] = Server(item_id=item.id, previous=previous, job=job)


def listed(state: State, out: Output, number: int, job: Job, tools: list[ListedTool] | None) -> None:
    """A server has answered, or (None) it has not."""
    state.jobs.end(number)
    server = state.servers[job.owner]
    server.job, server.tools = None, tools or []
    label = job.owner.partition("\n")[0]
    item = McpListTools(id=server.item_id, server_label=label, tools=server.tools)
    if (entry := state.conversation.get(server.item_id)) is not None:
        entry.item = item
    out.send(McpListToolsFailed if tools is None else McpListToolsCompleted, item_id=server.item_id)
    out.send(ConversationItemDone, previous_item_id=server.previous, item=item)
    if tools is None:
        # Named again, it is asked again.
        del state.servers[job.owner]
    rules.begin_waiting(state, out)


# ------------------------------------------------------------------------------------- calling


def returned(
    state: State, out: Output, number: int, job: Job, output: str | None, error: McpFailure | None
) -> None:
    """A tool has done its work, or has failed at it; the model goes on from there."""
    state.jobs.end(number)
    response = state.response_of(job)
    if response is None:
        return
    response.end_call(number, output, error)
    if response.advance(rules.stage(state, out)):
        rules.complete(state, out, response)


# ------------------------------------------------------------------------------------- approving


def check_approval(state: State, item: McpApprovalResponse) -> None:
    """Raises :class:`ProtocolError` where nobody waits for this answer."""
    if item.approval_request_id not in state.requests:
        raise invalid_value(
            f"Invalid 'item.approval_request_id': no approval request '{item.approval_request_id[:100]}' "
            "waits for an answer.",
            "item.approval_request_id",
        )


def decide(state: State, item: McpApprovalResponse) -> None:
    """The client's answer; :func:`resume` acts on it."""
    request = state.requests.pop(item.approval_request_id)
    state.decided.append(Decision(request=request, approved=item.approve))


def resume(state: State, out: Output) -> None:
    """Go on after approvals, once nothing else is being said: what was approved is called, and the model
    answers in the light of it. What was declined, it is told."""
    if not state.decided or state.ended or state.active is not None or state.answering:
        return
    decided, state.decided = state.decided, []
    request = decided[0].request
    response = Response(
        id=out.ids.next("resp"),
        conversation_id=state.conversation.id,
        plan=request.plan,
        direct=state.settings.plan == "converse",
    )
    state.responses[response.id] = response
    state.idle = None
    stage = rules.stage(state, out)
    response.create(stage)
    calls = [decision.request for decision in decided if decision.approved]
    if not calls:
        rules.begin(state, out, response)
        return
    response.call(stage, calls)
    if response.advance(stage):
        rules.complete(state, out, response)
