"""How the outputs of a response become events: items, parts and streams are opened, filled and closed.

Opening something pushes its closing event on the response's stack; closing an output unwinds the stack in
reverse. So every ``added`` has its ``done``, by construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vivavoz.session.effects import CallTool, EndAudio, FeedText, FinishJob, Synthesize
from vivavoz.session.entry import Entry, Spoken
from vivavoz.session.jobs import Kind
from vivavoz.session.outputs import Bracket, CallOutput, McpOutput, MessageOutput, OutputItem
from vivavoz.session.plan import Request, Stage
from vivavoz.wire.base import replace
from vivavoz.wire.items import ItemStatus
from vivavoz.wire.options import voice_name
from vivavoz.wire.server_events import (
    ContentPartAdded,
    ContentPartDone,
    ConversationItemAdded,
    ConversationItemDone,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    McpCallArgumentsDelta,
    McpCallArgumentsDone,
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    OutputAudioDone,
    OutputAudioTranscriptDelta,
    OutputAudioTranscriptDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    Part,
)

if TYPE_CHECKING:
    from vivavoz.session.response import Response

MAX_DELTA_BYTES = 96_000
"""The longest audio delta (2 s): as base64 well below the 1 MiB frame that common clients accept."""


def pump(response: Response, stage: Stage, output: OutputItem) -> bool:
    """Send what of ``output`` can go out; whether all of it has."""
    if isinstance(output, CallOutput):
        return _pump_call(response, stage, output)
    if isinstance(output, McpOutput):
        return output.asks or _pump_mcp(response, stage, output)
    return _pump_message(response, stage, output)


def open_output(response: Response, stage: Stage, output: OutputItem) -> None:
    output.opened = True
    item = output.item("in_progress")
    stage.out.send(OutputItemAdded, response_id=response.id, output_index=response.cursor, item=item)
    response.stack.append(Bracket.ITEM)
    if response.conversation_id is not None:
        entry = Entry(item=item, spoken=Spoken() if _is_spoken(output) else None)
        output.previous = stage.conversation.append(entry)
        stage.out.send(ConversationItemAdded, previous_item_id=output.previous, item=item)
    if not isinstance(output, MessageOutput):
        if not (isinstance(output, McpOutput) and output.asks):
            response.stack.append(Bracket.ARGUMENTS)
        return
    spoken = output.modality == "audio"
    part = Part(type="audio", transcript="") if spoken else Part(type="text", text="")
    stage.out.send(ContentPartAdded, **_where(response, output), part=part)
    if spoken:
        response.stack += [Bracket.PART, Bracket.TRANSCRIPT, Bracket.AUDIO]
        if not response.direct:
            task = Synthesize(voice=voice_name(response.plan.voice), speed=response.plan.speed)
            output.speech = stage.jobs.start(stage.out, Kind.SPEECH, response.id, task)
    else:
        response.stack += [Bracket.PART, Bracket.TEXT]


def _pump_message(response: Response, stage: Stage, message: MessageOutput) -> bool:
    if response.direct and message.modality == "audio":
        return message.complete
    text, message.waiting = message.waiting, ""
    if message.modality == "text":
        if text:
            message.text += text
            stage.out.send(OutputTextDelta, **_where(response, message), delta=text)
        return message.complete
    if message.speech is not None:
        if text:
            stage.out.do(FeedText(job=message.speech, text=text))
        if message.complete and not message.fed:
            message.fed = True
            stage.out.do(FinishJob(job=message.speech))
    return message.spoken


def _pump_call(response: Response, stage: Stage, call: CallOutput) -> bool:
    piece, call.waiting = call.waiting, ""
    if piece:
        call.arguments += piece
        stage.out.send(
            FunctionCallArgumentsDelta,
            response_id=response.id,
            item_id=call.item_id,
            output_index=response.cursor,
            call_id=call.call_id,
            delta=piece,
        )
    return call.complete


def _pump_mcp(response: Response, stage: Stage, call: McpOutput) -> bool:
    piece, call.waiting = call.waiting, ""
    out = stage.out
    where: dict[str, Any] = {"item_id": call.item_id, "output_index": response.cursor}
    if piece:
        call.arguments += piece
        filling = out.ids.next("")[1 : 1 + -len(piece) % 16]
        out.send(McpCallArgumentsDelta, response_id=response.id, **where, delta=piece, obfuscation=filling)
    if not call.complete or call.job is not None or call.returned:
        return call.returned
    if response.finish is not None and response.replied and call is response.outputs[-1]:
        call.give_up("The call was cut short.")
        return True
    _close_bracket(response, stage, response.stack.pop(), call, "completed")
    entry = stage.conversation.get(call.item_id) if response.conversation_id is not None else None
    if entry is not None:
        entry.item = call.item("in_progress")
    out.send(McpCallInProgress, **where)
    response.stack.append(Bracket.MCP_CALL)
    target = call.target
    task = CallTool(tool=target.tool, name=target.name, arguments=call.arguments)
    call.job = stage.jobs.start(out, Kind.CALL_TOOL, response.id, task)
    return False


def speak(response: Response, stage: Stage, message: MessageOutput, pcm: bytes, text: str) -> None:
    where = _where(response, message)
    if text:
        message.text += text
        stage.out.send(OutputAudioTranscriptDelta, **where, delta=text)
    if pcm:
        stage.playout.write(message.item_id, response.id)
    for start in range(0, len(pcm), MAX_DELTA_BYTES):
        piece = pcm[start : start + MAX_DELTA_BYTES]
        stage.out.send_audio(response.plan.format, **where, delta=piece)
    response.said_samples += len(pcm) // 2
    entry = stage.conversation.get(message.item_id) if response.conversation_id else None
    if entry is not None and entry.spoken is not None:
        entry.spoken.say(text, len(pcm) // 2)


def close(response: Response, stage: Stage, output: OutputItem, status: ItemStatus) -> None:
    while response.stack:
        _close_bracket(response, stage, response.stack.pop(), output, status)
    response.cursor += 1
    if isinstance(output, MessageOutput) and stage.playout.end(output.item_id):
        stage.out.do(EndAudio(item_id=output.item_id))


def _close_bracket(
    response: Response, stage: Stage, bracket: Bracket, output: OutputItem, status: ItemStatus
) -> None:
    out = stage.out
    match bracket:
        case Bracket.AUDIO:
            out.send(OutputAudioDone, **_where(response, output))
        case Bracket.TRANSCRIPT if isinstance(output, MessageOutput):
            out.send(OutputAudioTranscriptDone, **_where(response, output), transcript=output.text)
        case Bracket.TEXT if isinstance(output, MessageOutput):
            out.send(OutputTextDone, **_where(response, output), text=output.text)
        case Bracket.PART if isinstance(output, MessageOutput):
            spoken = output.modality == "audio"
            part = (
                Part(type="audio", transcript=output.text) if spoken else Part(type="text", text=output.text)
            )
            out.send(ContentPartDone, **_where(response, output), part=part)
        case Bracket.ARGUMENTS if isinstance(output, CallOutput):
            out.send(
                FunctionCallArgumentsDone,
                response_id=response.id,
                item_id=output.item_id,
                output_index=response.cursor,
                call_id=output.call_id,
                name=output.name,
                arguments=output.arguments,
            )
        case Bracket.ARGUMENTS if isinstance(output, McpOutput):
            out.send(
                McpCallArgumentsDone,
                response_id=response.id,
                item_id=output.item_id,
                output_index=response.cursor,
                arguments=output.arguments,
            )
        case Bracket.MCP_CALL if isinstance(output, McpOutput):
            event = McpCallCompleted if output.error is None else McpCallFailed
            out.send(event, item_id=output.item_id, output_index=response.cursor)
        case _:
            _close_item(response, stage, output, status)


def _close_item(response: Response, stage: Stage, output: OutputItem, status: ItemStatus) -> None:
    item = output.item(status)
    response.items.append(item)
    if response.conversation_id is not None:
        entry = stage.conversation.get(output.item_id)
        if isinstance(output, McpOutput) and output.asks and entry is not None:
            plan = replace(response.plan, metadata=None)
            stage.requests[output.item_id] = Request(
                id=output.item_id, target=output.target, arguments=output.arguments, plan=plan
            )
        if entry is not None:
            cut = entry.spoken is not None and entry.spoken.cut
            entry.item = replace(entry.item, status=status) if cut else item
        stage.out.send(ConversationItemDone, previous_item_id=output.previous, item=item)
    stage.out.send(OutputItemDone, response_id=response.id, output_index=response.cursor, item=item)


def _is_spoken(output: OutputItem) -> bool:
    return isinstance(output, MessageOutput) and output.modality == "audio"


def _where(response: Response, output: OutputItem) -> dict[str, str | int]:
    return {
        "response_id": response.id,
        "item_id": output.item_id,
        "output_index": response.cursor,
        "content_index": 0,
    }
