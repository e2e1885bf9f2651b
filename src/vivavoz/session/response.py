"""One response: what the model produces, as the bracketed stream of events the protocol wants.

The reply arrives in pieces (text, function calls, sound with its words) from whichever job makes it: the
cascade's reply and speech jobs, or one speech-to-speech job. Pieces are sorted into *outputs* (a message, a
function call), and outputs go out one after the other. Opening an item, a part or a stream pushes its
closing event on a stack; however the response ends, the stack is unwound in reverse and ``response.done``
comes last. So every ``added`` has its ``done``, by construction.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from vivavoz.session.conversation import Conversation, Entry, Spoken
from vivavoz.session.effects import CallTool, EndAudio, FeedText, FinishJob, Synthesize
from vivavoz.session.jobs import Jobs, Kind
from vivavoz.session.output import Output
from vivavoz.session.outputs import Bracket, CallOutput, McpOutput, MessageOutput, OutputItem
from vivavoz.session.playout import Playout
from vivavoz.session.tools import Target
from vivavoz.wire.base import Data, replace
from vivavoz.wire.codec import is_json
from vivavoz.wire.items import AnyItem, Item, ItemStatus
from vivavoz.wire.mcp import McpFailure
from vivavoz.wire.options import AudioFormat, Modality, Tool, ToolChoice, Voice
from vivavoz.wire.responses import (
    ResponseAudio,
    ResponseAudioOutput,
    ResponseObject,
    ResponseStatus,
    ResponseUsage,
    StatusDetails,
)
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
    ResponseCreated,
    ResponseDone,
)

MAX_DELTA_BYTES = 96_000
"""The longest audio delta (2 s): as base64 well below the 1 MiB frame that common clients accept."""


MAX_ROUNDS = 8
"""How often a model may go on by itself after MCP tools, in one response."""


class Stage(NamedTuple):
    """What a response acts on."""

    out: Output
    conversation: Conversation
    playout: Playout
    jobs: Jobs
    requests: dict[str, Request]


class Plan(Data):
    """What the session and ``response.create`` together ask of this response."""

    model: str
    modalities: list[Modality]
    instructions: str
    tools: list[Tool]
    tool_choice: ToolChoice
    max_output_tokens: int | Literal["inf"]
    voice: Voice
    speed: float
    format: AudioFormat
    metadata: dict[str, str] | None = None
    input: list[Item] | None = None
    """Replaces the conversation as context."""

    @property
    def modality(self) -> Modality:
        return self.modalities[0]


class Request(Data):
    """What a client is asked to approve: a call, and how the response that wanted it was to be."""

    id: str
    target: Target
    arguments: str
    plan: Plan


class Response(Data):
    id: str
    conversation_id: str | None
    """None: out of band, nothing of it enters the conversation."""
    plan: Plan
    job: int | None = None
    replied: bool = False
    """The model has said everything."""
    direct: bool = False
    """Sound comes from the replying job itself (speech to speech)."""
    finish: Literal["max_output_tokens", "content_filter"] | None = None
    outputs: list[OutputItem] = []
    cursor: int = 0
    stack: list[Bracket] = []
    items: list[AnyItem] = []
    targets: dict[str, Target] = {}
    """Functions of this round that are tools of MCP servers."""
    rounds: int = 0
    """How often the model went on after such tools."""
    round_start: int = 0
    """The first output of this round."""
    usage: tuple[int, int, int] | None = None
    """Text tokens: input, output, cached; None until the model says."""
    heard_ms: int = 0
    said_samples: int = 0

    # ---------------------------------------------------------------------------- what arrives

    def create(self, stage: Stage) -> None:
        stage.out.send(ResponseCreated, response=self.object("in_progress"))

    def add_text(self, stage: Stage, text: str) -> None:
        if not text:
            return
        message = self._message(stage)
        message.waiting += text
        self.advance(stage)

    def add_call(self, stage: Stage, index: int, name: str, arguments: str) -> None:
        call: CallOutput | McpOutput | None = None
        for output in self.outputs[self.round_start :]:
            if not isinstance(output, MessageOutput) and output.index == index:
                call = output
        if call is None:
            self._complete_earlier()
            ids = stage.out.ids
            if (target := self.targets.get(name)) is not None:
                item_id = ids.next("mcpr" if target.asks else "mcp")
                call = McpOutput(item_id=item_id, index=index, target=target, asks=target.asks)
            else:
                call = CallOutput(item_id=ids.next("item"), call_id=ids.next("call"), index=index, name=name)
            self.outputs.append(call)
        call.waiting += arguments
        self.advance(stage)

    def add_speech(self, stage: Stage, pcm: bytes, text: str) -> None:
        """Sound and its words; from the voice, or straight from a speech-to-speech model."""
        if self.plan.modality == "text":
            # Of what a speech-to-speech model says, the words are what was asked for.
            if self.direct:
                self.add_text(stage, text)
            return
        message = self._message(stage) if self.direct else self._current()
        if not isinstance(message, MessageOutput):
            return
        if self.direct:
            self.advance(stage)
            if self._current() is not message:
                return
        self._speak(stage, message, pcm, text)

    def end_speech(self) -> None:
        """The voice is done with the current message; should it be before its time, what the model still
        says is another message."""
        message = self._current()
        if isinstance(message, MessageOutput):
            message.spoken, message.complete, message.speech = True, True, None

    def end_reply(self) -> None:
        """The model is done."""
        self.replied, self.job = True, None
        self._complete_all()

    # ---------------------------------------------------------------------------- MCP tools

    def call(self, stage: Stage, requests: list[Request]) -> None:
        """Begin with calls that were approved."""
        self.rounds, self.replied = 1, True
        for index, request in enumerate(requests):
            call = McpOutput(
                item_id=stage.out.ids.next("mcp"), index=index, target=request.target, asks=False
            )
            call.waiting, call.complete, call.request_id = request.arguments, True, request.id
            self.outputs.append(call)

    def end_call(self, job: int, output: str | None, error: McpFailure | None) -> None:
        """A tool has returned."""
        current = self._current()
        if isinstance(current, McpOutput) and current.job == job:
            current.end(output, error)

    @property
    def goes_on(self) -> bool:
        """Whether the model is to read what MCP tools returned. Not while the client still owes it the
        output of a function or an approval, and not without end."""
        this_round = self.outputs[self.round_start :]
        used = [output for output in this_round if isinstance(output, McpOutput)]
        owed = any(isinstance(output, CallOutput) for output in this_round) or any(o.asks for o in used)
        return bool(used) and not owed and self.rounds < MAX_ROUNDS

    def next_round(self) -> None:
        self.rounds += 1
        self.round_start = len(self.outputs)
        self.replied = False

    # ---------------------------------------------------------------------------- what goes out

    def advance(self, stage: Stage) -> bool:
        """Bring out what can go out; whether everything is out."""
        while (output := self._current()) is not None:
            if isinstance(output, McpOutput) and output.asks:
                # A request is shown whole.
                if not output.complete:
                    return False
                output.settle()
            if not output.opened:
                self._open(stage, output)
            if isinstance(output, CallOutput):
                done = self._pump_call(stage, output)
            elif isinstance(output, McpOutput):
                done = output.asks or self._pump_mcp(stage, output)
            else:
                done = self._pump_message(stage, output)
            if not done:
                return False
            cut_short = self.finish is not None and self.replied and output is self.outputs[-1]
            self._close(stage, output, "incomplete" if cut_short else "completed")
        return self.replied

    def done(
        self, stage: Stage, status: ResponseStatus, details: StatusDetails | None, usage: ResponseUsage
    ) -> None:
        """End it, however it ends: jobs stop, the stack unwinds, ``response.done`` comes last."""
        stage.jobs.cancel(stage.out, self.job)
        self.job = None
        output = self._current()
        if output is not None:
            if isinstance(output, MessageOutput):
                stage.jobs.cancel(stage.out, output.speech)
                output.speech = None
            elif isinstance(output, McpOutput):
                stage.jobs.cancel(stage.out, output.job)
                output.give_up("The call was cancelled.")
            if output.opened:
                self._close(stage, output, "incomplete")
        self.outputs = self.outputs[: self.cursor]
        stage.out.send(ResponseDone, response=self.object(status, details, usage))

    def object(
        self,
        status: ResponseStatus,
        details: StatusDetails | None = None,
        usage: ResponseUsage | None = None,
    ) -> ResponseObject:
        plan = self.plan
        return ResponseObject(
            object="realtime.response",
            id=self.id,
            status=status,
            status_details=details,
            output=list(self.items),
            conversation_id=self.conversation_id,
            output_modalities=plan.modalities,
            max_output_tokens=plan.max_output_tokens,
            audio=ResponseAudio(output=ResponseAudioOutput(format=plan.format, voice=plan.voice)),
            usage=usage,
            metadata=plan.metadata,
        )

    # ---------------------------------------------------------------------------- outputs

    def _current(self) -> OutputItem | None:
        return self.outputs[self.cursor] if self.cursor < len(self.outputs) else None

    def _complete_all(self) -> None:
        for output in self.outputs[self.cursor :]:
            output.complete = True

    def _complete_earlier(self) -> None:
        """Another call begins. Parallel calls may come in interleaved pieces: one whose arguments are not
        whole yet waits for the rest of them."""
        for output in self.outputs[self.cursor :]:
            output.complete = isinstance(output, MessageOutput) or is_json(output.arguments + output.waiting)

    def _message(self, stage: Stage) -> MessageOutput:
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, MessageOutput) and not last.complete:
            return last
        self._complete_all()
        message = MessageOutput(item_id=stage.out.ids.next("item"), modality=self.plan.modality)
        self.outputs.append(message)
        return message

    def _open(self, stage: Stage, output: OutputItem) -> None:
        output.opened = True
        item = output.item("in_progress")
        stage.out.send(OutputItemAdded, response_id=self.id, output_index=self.cursor, item=item)
        self.stack.append(Bracket.ITEM)
        if self.conversation_id is not None:
            entry = Entry(item=item, spoken=Spoken() if self._is_spoken(output) else None)
            output.previous = stage.conversation.append(entry)
            stage.out.send(ConversationItemAdded, previous_item_id=output.previous, item=item)
        if not isinstance(output, MessageOutput):
            if not (isinstance(output, McpOutput) and output.asks):
                self.stack.append(Bracket.ARGUMENTS)
            return
        spoken = output.modality == "audio"
        part = Part(type="audio", transcript="") if spoken else Part(type="text", text="")
        stage.out.send(ContentPartAdded, **self._where(output), part=part)
        if spoken:
            self.stack += [Bracket.PART, Bracket.TRANSCRIPT, Bracket.AUDIO]
            if not self.direct:
                task = Synthesize(voice=_voice(self.plan.voice), speed=self.plan.speed)
                output.speech = stage.jobs.start(stage.out, Kind.SPEECH, self.id, task)
        else:
            self.stack += [Bracket.PART, Bracket.TEXT]

    def _pump_message(self, stage: Stage, message: MessageOutput) -> bool:
        if self.direct and message.modality == "audio":
            return message.complete
        text, message.waiting = message.waiting, ""
        if message.modality == "text":
            if text:
                message.text += text
                stage.out.send(OutputTextDelta, **self._where(message), delta=text)
            return message.complete
        if message.speech is not None:
            if text:
                stage.out.do(FeedText(job=message.speech, text=text))
            if message.complete and not message.fed:
                message.fed = True
                stage.out.do(FinishJob(job=message.speech))
        return message.spoken

    def _pump_call(self, stage: Stage, call: CallOutput) -> bool:
        piece, call.waiting = call.waiting, ""
        if piece:
            call.arguments += piece
            stage.out.send(
                FunctionCallArgumentsDelta,
                response_id=self.id,
                item_id=call.item_id,
                output_index=self.cursor,
                call_id=call.call_id,
                delta=piece,
            )
        return call.complete

    def _pump_mcp(self, stage: Stage, call: McpOutput) -> bool:
        piece, call.waiting = call.waiting, ""
        out = stage.out
        where: dict[str, Any] = {"item_id": call.item_id, "output_index": self.cursor}
        if piece:
            call.arguments += piece
            filling = out.ids.next("")[1 : 1 + -len(piece) % 16]
            out.send(McpCallArgumentsDelta, response_id=self.id, **where, delta=piece, obfuscation=filling)
        if not call.complete or call.job is not None or call.returned:
            return call.returned
        if self.finish is not None and self.replied and call is self.outputs[-1]:
            call.give_up("The call was cut short.")
            return True
        self._close_bracket(stage, self.stack.pop(), call, "completed")
        entry = stage.conversation.get(call.item_id) if self.conversation_id is not None else None
        if entry is not None:
            entry.item = call.item("in_progress")
        out.send(McpCallInProgress, **where)
        self.stack.append(Bracket.MCP_CALL)
        target = call.target
        task = CallTool(tool=target.tool, name=target.name, arguments=call.arguments)
        call.job = stage.jobs.start(out, Kind.CALL_TOOL, self.id, task)
        return False

    def _speak(self, stage: Stage, message: MessageOutput, pcm: bytes, text: str) -> None:
        where = self._where(message)
        if text:
            message.text += text
            stage.out.send(OutputAudioTranscriptDelta, **where, delta=text)
        if pcm:
            stage.playout.write(message.item_id, self.id)
        for start in range(0, len(pcm), MAX_DELTA_BYTES):
            piece = pcm[start : start + MAX_DELTA_BYTES]
            stage.out.send_audio(self.plan.format, **where, delta=piece)
        self.said_samples += len(pcm) // 2
        entry = stage.conversation.get(message.item_id) if self.conversation_id else None
        if entry is not None and entry.spoken is not None:
            entry.spoken.say(text, len(pcm) // 2)

    def _close(self, stage: Stage, output: OutputItem, status: ItemStatus) -> None:
        while self.stack:
            self._close_bracket(stage, self.stack.pop(), output, status)
        self.cursor += 1
        if isinstance(output, MessageOutput) and stage.playout.end(output.item_id):
            stage.out.do(EndAudio(item_id=output.item_id))

    def _close_bracket(self, stage: Stage, bracket: Bracket, output: OutputItem, status: ItemStatus) -> None:
        out = stage.out
        match bracket:
            case Bracket.AUDIO:
                out.send(OutputAudioDone, **self._where(output))
            case Bracket.TRANSCRIPT if isinstance(output, MessageOutput):
                out.send(OutputAudioTranscriptDone, **self._where(output), transcript=output.text)
            case Bracket.TEXT if isinstance(output, MessageOutput):
                out.send(OutputTextDone, **self._where(output), text=output.text)
            case Bracket.PART if isinstance(output, MessageOutput):
                spoken = output.modality == "audio"
                part = (
                    Part(type="audio", transcript=output.text)
                    if spoken
                    else Part(type="text", text=output.text)
                )
                out.send(ContentPartDone, **self._where(output), part=part)
            case Bracket.ARGUMENTS if isinstance(output, CallOutput):
                out.send(
                    FunctionCallArgumentsDone,
                    response_id=self.id,
                    item_id=output.item_id,
                    output_index=self.cursor,
                    call_id=output.call_id,
                    name=output.name,
                    arguments=output.arguments,
                )
            case Bracket.ARGUMENTS if isinstance(output, McpOutput):
                out.send(
                    McpCallArgumentsDone,
                    response_id=self.id,
                    item_id=output.item_id,
                    output_index=self.cursor,
                    arguments=output.arguments,
                )
            case Bracket.MCP_CALL if isinstance(output, McpOutput):
                event = McpCallCompleted if output.error is None else McpCallFailed
                out.send(event, item_id=output.item_id, output_index=self.cursor)
            case _:
                self._close_item(stage, output, status)

    def _close_item(self, stage: Stage, output: OutputItem, status: ItemStatus) -> None:
        item = output.item(status)
        self.items.append(item)
        if self.conversation_id is not None:
            entry = stage.conversation.get(output.item_id)
            if isinstance(output, McpOutput) and output.asks and entry is not None:
                plan = replace(self.plan, metadata=None)
                stage.requests[output.item_id] = Request(
                    id=output.item_id, target=output.target, arguments=output.arguments, plan=plan
                )
            if entry is not None:
                cut = entry.spoken is not None and entry.spoken.cut
                entry.item = replace(entry.item, status=status) if cut else item
            stage.out.send(ConversationItemDone, previous_item_id=output.previous, item=item)
        stage.out.send(OutputItemDone, response_id=self.id, output_index=self.cursor, item=item)

    # ---------------------------------------------------------------------------- shapes

    def _is_spoken(self, output: OutputItem) -> bool:
        return isinstance(output, MessageOutput) and output.modality == "audio"

    def _where(self, output: OutputItem) -> dict[str, str | int]:
        return {
            "response_id": self.id,
            "item_id": output.item_id,
            "output_index": self.cursor,
            "content_index": 0,
        }


def _voice(voice: Voice) -> str:
    return voice if isinstance(voice, str) else voice.id
