"""What a response puts out, one after the other: a message, a function call, the use of an MCP tool."""

from __future__ import annotations

from enum import Enum

from vivavoz.session.tools import Target
from vivavoz.wire.base import Data
from vivavoz.wire.codec import is_json
from vivavoz.wire.items import AnyItem, FunctionCall, ItemStatus, Message, OutputAudio, OutputText
from vivavoz.wire.mcp import ExecutionFailure, McpApprovalRequest, McpCall, McpFailure
from vivavoz.wire.options import Modality


class Bracket(Enum):
    """Something opened that must be closed, with the event that closes it."""

    ITEM = "item"
    PART = "part"
    TEXT = "text"
    TRANSCRIPT = "transcript"
    AUDIO = "audio"
    ARGUMENTS = "arguments"
    MCP_CALL = "mcp_call"


class MessageOutput(Data, tag="message"):
    """Words, as text or as speech. ``waiting`` has not gone out (or to the voice) yet."""

    item_id: str
    modality: Modality
    waiting: str = ""
    text: str = ""
    speech: int | None = None
    previous: str | None = None
    opened: bool = False
    complete: bool = False
    """The model will add nothing to it."""
    fed: bool = False
    """The voice was told that no more words come."""
    spoken: bool = False
    """The voice has said all of it."""

    def item(self, status: ItemStatus) -> AnyItem:
        content: list[OutputAudio | OutputText] = []
        if status != "in_progress":
            spoken = self.modality == "audio"
            content = [OutputAudio(transcript=self.text) if spoken else OutputText(text=self.text)]
        return Message(id=self.item_id, role="assistant", status=status, content=list(content))


class CallOutput(Data, tag="call"):
    """A function call; ``waiting`` are arguments that have not gone out yet."""

    item_id: str
    call_id: str
    index: int
    name: str
    waiting: str = ""
    arguments: str = ""
    previous: str | None = None
    opened: bool = False
    complete: bool = False

    def item(self, status: ItemStatus) -> AnyItem:
        return FunctionCall(
            id=self.item_id,
            call_id=self.call_id,
            name=self.name,
            arguments=self.arguments,
            status=status,
        )


class McpOutput(Data, tag="mcp"):
    """The use of an MCP tool: a call, or (``asks``) the request that a client approve one."""

    item_id: str
    index: int
    target: Target
    asks: bool
    waiting: str = ""
    arguments: str = ""
    previous: str | None = None
    opened: bool = False
    complete: bool = False
    request_id: str | None = None
    """The request that was approved."""
    job: int | None = None
    returned: bool = False
    output: str | None = None
    error: McpFailure | None = None

    def settle(self) -> None:
        """A request is whole. What is no JSON object is not worth asking for: clients read it as one."""
        if self.waiting.strip() and not (is_json(self.waiting) and self.waiting.lstrip().startswith("{")):
            self.asks = False
            self.give_up("The arguments are no JSON object.")
            return
        self.arguments, self.waiting = self.arguments + self.waiting, ""

    def end(self, output: str | None, error: McpFailure | None) -> None:
        self.job, self.returned = None, True
        self.output, self.error = output, error

    def give_up(self, why: str) -> None:
        """It was not called, or not to its end."""
        if not self.returned:
            self.end(None, ExecutionFailure(message=why))

    def item(self, status: ItemStatus) -> AnyItem:
        label = self.target.tool.server_label
        if self.asks:
            return McpApprovalRequest(
                id=self.item_id, server_label=label, name=self.target.name, arguments=self.arguments
            )
        return McpCall(
            id=self.item_id,
            server_label=label,
            name=self.target.name,
            arguments=self.arguments,
            approval_request_id=self.request_id,
            output=self.output,
            error=self.error,
        )


OutputItem = MessageOutput | CallOutput | McpOutput
