"""What can happen to a session. Past tense, plain data: a list of these, with times, is a trace."""

from __future__ import annotations

from typing import Literal

from vivavoz.wire.base import Fixed
from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.mcp import ListedTool, McpFailure
from vivavoz.wire.transcription import LogProb, Segment

Sender = str
"""Which transport something came from; an answer meant for one transport goes back there."""


class Attached(Fixed, frozen=True, tag_field="what", tag=True):
    """A transport's event channel is open. ``playout``: sound out is paced and counted by the server."""

    sender: Sender
    kind: Literal["websocket", "webrtc", "sideband"]


class Received(Fixed, frozen=True, tag_field="what", tag=True):
    """A client event. Sound inside it is already mono s16le at 24 kHz."""

    event: ClientEvent
    sender: Sender


class Refused(Fixed, frozen=True, tag_field="what", tag=True):
    """A message that is no client event; the members are the protocol error's."""

    sender: Sender
    type: str
    code: str | None
    message: str
    param: str | None
    event_id: str | None


class AudioReceived(Fixed, frozen=True, tag_field="what", tag=True):
    """The caller's sound from a media transport: mono s16le, 24 kHz."""

    pcm: bytes


class AudioScored(Fixed, frozen=True, tag_field="what", tag=True):
    """One VAD frame; ``end_sample`` counts every sample of the caller's since the session began."""

    end_sample: int
    probability: float


class Judged(Fixed, frozen=True, tag_field="what", tag=True):
    """The turn detector's opinion that the caller has finished, 0..1."""

    job: int
    probability: float


class Transcribed(Fixed, frozen=True, tag_field="what", tag=True):
    """Words heard; ``final`` text is the whole transcript, the others append. ``logprobs``: of its tokens;
    ``segments``: who said what of the whole. A ``draft`` is what the whole would be if the caller said no
    more; the next one may be quite another."""

    job: int
    text: str
    final: bool
    logprobs: list[LogProb] | None = None
    segments: list[Segment] = []
    draft: bool = False


class Counted(Fixed, frozen=True, tag_field="what", tag=True):
    """Tokens of each item that was to be counted, and of instructions and tools together."""

    job: int
    items: list[int]
    instructions: int


class RepliedText(Fixed, frozen=True, tag_field="what", tag=True):
    job: int
    text: str


class RepliedCall(Fixed, frozen=True, tag_field="what", tag=True):
    """A piece of the reply's ``index``-th function call."""

    job: int
    index: int
    name: str
    arguments: str


class RepliedUsage(Fixed, frozen=True, tag_field="what", tag=True):
    job: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int


class RepliedFinish(Fixed, frozen=True, tag_field="what", tag=True):
    job: int
    reason: Literal["stop", "max_output_tokens", "content_filter"]


class Synthesized(Fixed, frozen=True, tag_field="what", tag=True):
    """Sound (mono s16le, 24 kHz) and the words it says."""

    job: int
    pcm: bytes
    text: str


class ToolsListed(Fixed, frozen=True, tag_field="what", tag=True):
    job: int
    tools: list[ListedTool]


class ToolReturned(Fixed, frozen=True, tag_field="what", tag=True):
    """An MCP tool's output, or how it failed."""

    job: int
    output: str | None = None
    error: McpFailure | None = None


class JobEnded(Fixed, frozen=True, tag_field="what", tag=True):
    job: int


class JobFailed(Fixed, frozen=True, tag_field="what", tag=True):
    """An engine could not do its work. ``message`` is fit for the client to see."""

    job: int
    code: str
    message: str


class PlaybackStarted(Fixed, frozen=True, tag_field="what", tag=True):
    """The first sample of an item's sound has left the machine."""

    item_id: str


class PlaybackEnded(Fixed, frozen=True, tag_field="what", tag=True):
    """An item's sound was played to its end."""

    item_id: str


class ItemPlayed(Fixed, frozen=True):
    item_id: str
    samples: int


class Flushed(Fixed, frozen=True, tag_field="what", tag=True):
    """The answer to a flush: how much of each unfinished item's sound was played (24 kHz samples)."""

    played: list[ItemPlayed]


class Held(Fixed, frozen=True, tag_field="what", tag=True):
    """The answer to a hold: sound that is still to be played (ms)."""

    left_ms: int


class Spent(Fixed, frozen=True, tag_field="what", tag=True):
    """The answer to a ``Spend``: what is left of the tokens that may be used within a minute."""

    limit: int
    remaining: int
    reset_seconds: float


class TimePassed(Fixed, frozen=True, tag_field="what", tag=True):
    """Nothing happened but ``now``; sent when the session's deadline has come."""


Input = (
    Attached
    | Received
    | Refused
    | AudioReceived
    | AudioScored
    | Judged
    | Transcribed
    | Counted
    | RepliedText
    | RepliedCall
    | RepliedUsage
    | RepliedFinish
    | Synthesized
    | ToolsListed
    | ToolReturned
    | JobEnded
    | JobFailed
    | PlaybackStarted
    | PlaybackEnded
    | Flushed
    | Held
    | Spent
    | TimePassed
)
