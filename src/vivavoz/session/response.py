"""One response: what the model produces, as the bracketed stream of events the protocol wants.

The reply arrives in pieces (text, function calls, sound with its words) from whichever job makes it: the
cascade's reply and speech jobs, or one speech-to-speech job. Pieces are sorted into *outputs* (a message, a
function call), and outputs go out one after the other. Opening an item, a part or a stream pushes its
closing event on a stack; however the response ends, the stack is unwound in reverse and ``response.done``
comes last. So every ``added`` has its ``done``, by construction.
"""

from __future__ import annotations

from typing import Literal

from vivavoz.session import outgoing
from vivavoz.session.outputs import Bracket, CallOutput, McpOutput, MessageOutput, OutputItem
from vivavoz.session.plan import Plan, Request, Stage
from vivavoz.session.tools import Target
from vivavoz.wire.base import Data
from vivavoz.wire.codec import is_json
from vivavoz.wire.items import AnyItem
from vivavoz.wire.mcp import McpFailure
from vivavoz.wire.responses import (
    ResponseAudio,
    ResponseAudioOutput,
    ResponseObject,
    ResponseStatus,
    ResponseUsage,
    StatusDetails,
)
from vivavoz.wire.server_events import ResponseCreated, ResponseDone

MAX_ROUNDS = 8
"""How often a model may go on by itself after MCP tools, in one response."""


class Asked(Data):
    """What a model was asked, in tokens. ``after_instructions`` is what can be truncated of it, ``size`` the
    bytes of all its text."""

    text: int
    sound: int
    after_instructions: int
    size: int
    images: bool


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
    asked: list[Asked] = []
    """For each round."""
    said_samples: int = 0
    counting: list[tuple[str | int, int, int]] = []
    """What the engine is counting: its key, its size in bytes, and how many items the model sees in it."""
    counts: dict[int, tuple[int, int]] = {}
    """What it has counted of the response's own input: size, tokens."""
    preface: str | None = None
    """A digest of instructions and tools: what their count belongs to."""
    estimates: bool = False
    """The engine could not count."""
    shortened: int = 0
    budget: int | None = None
    """Tokens after the instructions: the model has refused more."""

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
            if not self.plan.parallel and self._calls:
                return
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
        outgoing.speak(self, stage, message, pcm, text)

    def end_speech(self) -> None:
        """The voice is done with the current message; should it be before its time, what the model still
        says is another message."""
        message = self._current()
        if isinstance(message, MessageOutput):
            message.spoken, message.complete, message.speech = True, True, None

    @property
    def silent(self) -> bool:
        """The model has not put out anything in this round."""
        return len(self.outputs) == self.round_start

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
                outgoing.open_output(self, stage, output)
            if not outgoing.pump(self, stage, output):
                return False
            cut_short = self.finish is not None and self.replied and output is self.outputs[-1]
            outgoing.close(self, stage, output, "incomplete" if cut_short else "completed")
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
                outgoing.close(self, stage, output, "incomplete")
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

    @property
    def _calls(self) -> bool:
        """Whether the model has called something in this round."""
        return any(not isinstance(output, MessageOutput) for output in self.outputs[self.round_start :])

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
