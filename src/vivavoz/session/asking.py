"""What a model is asked for: the plan of a response, what stands before the items, the job that replies."""

from __future__ import annotations

from vivavoz.session import context
from vivavoz.session.effects import Converse, Count, Reply, Synthesize, Task
from vivavoz.session.failures import TOO_LONG
from vivavoz.session.jobs import Kind
from vivavoz.session.output import Output
from vivavoz.session.plan import Plan
from vivavoz.session.response import MAX_ROUNDS, Response
from vivavoz.session.state import State
from vivavoz.session.tools import Target, key_of, mcp_tools, offer
from vivavoz.wire.base import replace
from vivavoz.wire.options import effort_of, voice_name


def plan_of(state: State) -> Plan:
    """A response as the session alone would have it."""
    options = state.options
    return Plan(
        model=options.model,
        modalities=options.output_modalities,
        instructions=options.instructions,
        tools=options.tools,
        tool_choice=options.tool_choice,
        max_output_tokens=options.max_output_tokens,
        voice=options.audio.output.voice,
        speed=options.audio.output.speed,
        format=options.audio.output.format,
        parallel=options.parallel_tool_calls is not False,
        effort=effort_of(options.reasoning),
    )


def ask(state: State, out: Output, response: Response) -> tuple[str, str] | None:
    """Let the model reply, as soon as everything the caller said is understood. Returns why it cannot: code
    and message."""
    plan = response.plan
    if (plan.input is None and state.understanding()) or _listing(state, plan):
        return None
    last = state.conversation.last
    entry = state.conversation.get(last) if last is not None else None
    if plan.input is None and entry is not None and entry.failure is not None:
        return entry.failure
    reply, response.targets = preface(
        state, plan, response.rounds, asking=response.conversation_id is not None
    )
    match context.fit(state, response, reply):
        case context.TooLong(message=message):
            return TOO_LONG, message
        case context.Uncounted(items=items):
            task: Task = Count(reply=replace(reply, items=items))
            response.job = state.jobs.start(out, Kind.COUNT, response.id, task)
            return None
        case context.Ready(items=items, asked=asked):
            response.asked.append(asked)
            reply = replace(reply, items=items)
    if not response.direct:
        response.job = state.jobs.start(out, Kind.REPLY, response.id, reply)
        return None
    audio = b""
    if entry is not None and plan.input is None:
        audio, entry.audio = entry.audio, b""
    speech = Synthesize(voice=voice_name(plan.voice), speed=plan.speed)
    task = Converse(reply=reply, speech=speech, audio=audio)
    response.job = state.jobs.start(out, Kind.REPLY, response.id, task)
    return None


def preface(state: State, plan: Plan, rounds: int, *, asking: bool) -> tuple[Reply, dict[str, Target]]:
    """What stands before the items: instructions and tools, and where calls of those tools go. ``asking``:
    whether the user can be asked to approve a call."""
    offered = offer(
        state.servers,
        plan.tools if rounds < MAX_ROUNDS else [],
        # A tool that had to be used has been.
        plan.tool_choice if rounds == 0 or plan.tool_choice == "none" else "auto",
        asking=asking,
    )
    reply = Reply(
        items=[],
        model=plan.model,
        instructions=plan.instructions,
        tools=offered.functions,
        tool_choice=offered.choice,
        max_output_tokens=plan.max_output_tokens if isinstance(plan.max_output_tokens, int) else None,
        parallel_tool_calls=plan.parallel,
        effort=plan.effort,
    )
    return reply, offered.targets


def _listing(state: State, plan: Plan) -> bool:
    """Whether a server still has to say what tools it has."""
    servers = [state.servers.get(key_of(tool)) for tool in mcp_tools(plan.tools)]
    return any(server is not None and server.job is not None for server in servers)
