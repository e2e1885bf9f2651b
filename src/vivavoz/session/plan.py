"""What a response is to be, and what it acts on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from vivavoz.session.conversation import Conversation
from vivavoz.session.jobs import Jobs
from vivavoz.session.output import Output
from vivavoz.session.playout import Playout
from vivavoz.session.tools import Target
from vivavoz.wire.base import Data
from vivavoz.wire.items import Item
from vivavoz.wire.options import AudioFormat, Modality, Voice
from vivavoz.wire.tools import Tool, ToolChoice


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
    parallel: bool = True
    """The model may call several functions at once."""
    effort: str | None = None
    """How long it may think; None: as it is used to."""

    @property
    def modality(self) -> Modality:
        return self.modalities[0]


class Request(Data):
    """What a client is asked to approve: a call, and how the response that wanted it was to be."""

    id: str
    target: Target
    arguments: str
    plan: Plan
