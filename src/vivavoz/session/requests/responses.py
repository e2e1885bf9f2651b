"""``response.create`` and ``response.cancel``."""

from __future__ import annotations

from typing import Any

from vivavoz.session import asking, mcp, rules
from vivavoz.session.checks import check_reasoning, check_voice
from vivavoz.session.conversation import check_item
from vivavoz.session.entry import as_said
from vivavoz.session.output import Output
from vivavoz.session.plan import Plan
from vivavoz.session.state import State
from vivavoz.wire.base import UNSET
from vivavoz.wire.client_events import ResponseCancel, ResponseCreate
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.items import Item, Message
from vivavoz.wire.merging import check_modalities, check_tools
from vivavoz.wire.options import AudioFormat, Reasoning, effort_of
from vivavoz.wire.responses import InputMessage, ItemReference, ResponsePatch


def create(state: State, out: Output, event: ResponseCreate) -> None:
    if state.options.type == "transcription":
        raise invalid_value("'response.create' is not available in transcription sessions.", "type")
    patch = event.response if isinstance(event.response, ResponsePatch) else ResponsePatch()
    out_of_band = patch.conversation == "none"
    try:
        plan = _plan(state, patch)
    except ProtocolError as error:
        raise error.under("response") from None
    active = state.active
    if active is not None and not out_of_band:
        raise ProtocolError(
            "Conversation already has an active response in progress: "
            f"{active.id}. Wait until the response is finished before creating a new one.",
            code="conversation_already_has_active_response",
        )
    if isinstance(patch.tools, list):
        mcp.list_tools(state, out, plan.tools)
    rules.respond(state, out, plan, out_of_band=out_of_band)


def cancel(state: State, out: Output, event: ResponseCancel) -> None:
    wanted = event.response_id
    response = state.responses.get(wanted) if isinstance(wanted, str) else state.active
    if response is None:
        raise ProtocolError(
            "Cancellation failed: no active response found", code="response_cancel_not_active"
        )
    rules.cancel(state, out, response, "client_cancelled")


def _plan(state: State, patch: ResponsePatch) -> Plan:
    """The session's wishes under the request's."""
    plan = asking.plan_of(state)
    for name in ("instructions", "tools", "tool_choice", "max_output_tokens", "metadata"):
        value = getattr(patch, name)
        if value is not UNSET and value is not None:
            setattr(plan, name, value)
    if isinstance(patch.parallel_tool_calls, bool):
        plan.parallel = patch.parallel_tool_calls
    if isinstance(patch.reasoning, Reasoning):
        check_reasoning(state.settings, patch.reasoning, "reasoning")
        plan.effort = effort_of(patch.reasoning)
    if isinstance(patch.output_modalities, list):
        check_modalities(patch.output_modalities, "output_modalities")
        plan.modalities = patch.output_modalities
    output = patch.audio.output if patch.audio is not UNSET and patch.audio is not None else UNSET
    if output is not UNSET:
        if isinstance(output.format, AudioFormat):
            plan.format = output.format
        if output.voice is not UNSET:
            check_voice(state.settings, output.voice, "audio.output.voice")
            plan.voice = output.voice
    check_tools(plan.tools, plan.tool_choice)
    mcp.check(state, plan.tools, "tools")
    if isinstance(patch.input, list):
        plan.input = [given for index, item in enumerate(patch.input) for given in _given(state, item, index)]
    return plan


def _given(state: State, item: Any, index: int) -> list[Item]:
    """One item of ``response.input``, as the model shall see it."""
    where = f"input[{index}]"
    if isinstance(item, ItemReference):
        entry = state.conversation.get(item.id)
        if entry is None:
            raise invalid_value(
                f"Invalid '{where}.id': the item with id '{item.id}' does not exist.", f"{where}.id"
            )
        return entry.as_said() or as_said(entry.item)
    if isinstance(item, InputMessage):
        item = Message(role=item.role, content=item.content, id=item.id, status=item.status)
    check_item(item, where, sees=state.settings.sees)
    return [item]
