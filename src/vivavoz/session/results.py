"""The engines' side: what models, voices and tools give back, and how their jobs end."""

from __future__ import annotations

from vivavoz.session import context, inputs, listening, mcp, rules
from vivavoz.session.failures import TOO_LONG
from vivavoz.session.jobs import Job, Kind
from vivavoz.session.output import Output
from vivavoz.session.response import Response
from vivavoz.session.state import State
from vivavoz.wire.mcp import ExecutionFailure

MCP = (Kind.LIST_TOOLS, Kind.CALL_TOOL)


def counted(state: State, out: Output, input: inputs.Counted) -> None:
    job = state.jobs.get(input.job)
    if job is None or job.kind is not Kind.COUNT:
        return
    state.jobs.end(input.job)
    if (response := state.response_of(job)) is not None:
        context.counted(state, response, input.items, input.instructions)
        response.job = None
        rules.begin(state, out, response)


def _not_counted(state: State, out: Output, number: int) -> None:
    """The engine cannot count now: no reason not to answer."""
    job = state.jobs.end(number)
    if job is not None and (response := state.response_of(job)) is not None:
        response.estimates, response.job = True, None
        rules.begin(state, out, response)


def replied_text(state: State, out: Output, input: inputs.RepliedText) -> None:
    if (response := _response(state, input.job)) is not None:
        response.add_text(rules.stage(state, out), input.text)


def replied_call(state: State, out: Output, input: inputs.RepliedCall) -> None:
    if (response := _response(state, input.job)) is not None:
        response.add_call(rules.stage(state, out), input.index, input.name, input.arguments)


def replied_usage(state: State, out: Output, input: inputs.RepliedUsage) -> None:
    if (response := _response(state, input.job)) is not None:
        if response.asked:
            context.calibrate(state, response.asked[-1], input.input_tokens)
        read, written, cached = response.usage or (0, 0, 0)
        response.usage = (
            read + input.input_tokens,
            written + input.output_tokens,
            cached + input.cached_tokens,
        )


def replied_finish(state: State, out: Output, input: inputs.RepliedFinish) -> None:
    response = _response(state, input.job)
    if response is not None and input.reason != "stop":
        response.finish = input.reason


def synthesized(state: State, out: Output, input: inputs.Synthesized) -> None:
    if (response := _response(state, input.job)) is not None:
        audible = response.conversation_id is not None and response.plan.modality == "audio"
        state.voiced = state.voiced or audible
        response.add_speech(rules.stage(state, out), input.pcm, input.text)


def tools_listed(state: State, out: Output, input: inputs.ToolsListed) -> None:
    job = state.jobs.get(input.job)
    if job is not None and job.kind is Kind.LIST_TOOLS:
        mcp.listed(state, out, input.job, job, input.tools)


def tool_returned(state: State, out: Output, input: inputs.ToolReturned) -> None:
    job = state.jobs.get(input.job)
    if job is not None and job.kind is Kind.CALL_TOOL:
        mcp.returned(state, out, input.job, job, input.output, input.error)


def job_ended(state: State, out: Output, input: inputs.JobEnded) -> None:
    job = state.jobs.get(input.job)
    if job is None:
        return
    if job.kind is Kind.TRANSCRIBE:
        # Ended without a final transcript: nothing was understood.
        listening.transcription_over(state, out, input.job, None)
        return
    if job.kind in MCP:
        _tool_over(state, out, input.job, job, "It ended without a result.")
        return
    if job.kind is Kind.COUNT:
        _not_counted(state, out, input.job)
        return
    state.jobs.end(input.job)
    response = state.response_of(job)
    if response is None:
        return
    if job.kind is Kind.REPLY:
        response.end_reply()
    else:
        response.end_speech()
    if response.advance(rules.stage(state, out)):
        rules.complete(state, out, response)


def job_failed(state: State, out: Output, input: inputs.JobFailed) -> None:
    job = state.jobs.get(input.job)
    if job is None:
        return
    if job.kind is Kind.TRANSCRIBE:
        listening.transcription_over(state, out, input.job, (input.code, input.message))
        return
    if job.kind in MCP:
        _tool_over(state, out, input.job, job, input.message)
        return
    if job.kind is Kind.COUNT:
        _not_counted(state, out, input.job)
        return
    state.jobs.end(input.job)
    if job.kind is Kind.JUDGE and state.spoke is not None:
        state.spoke.judge = None
    elif (response := state.response_of(job)) is not None:
        if job.kind is Kind.REPLY and input.code == TOO_LONG and rules.shorten(state, out, response):
            return
        rules.fail(state, out, response, input.code, input.message)


def _response(state: State, job: int) -> Response | None:
    found = state.jobs.get(job)
    return state.response_of(found) if found is not None and found.kind is not Kind.COUNT else None


def _tool_over(state: State, out: Output, number: int, job: Job, why: str) -> None:
    if job.kind is Kind.LIST_TOOLS:
        mcp.listed(state, out, number, job, None)
    else:
        mcp.returned(state, out, number, job, None, ExecutionFailure(message=why))
