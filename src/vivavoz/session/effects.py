"""What a session wants done. Imperative, plain data, in the order in which it must happen."""

from __future__ import annotations

from typing import Literal

from vivavoz.wire.base import Fixed
from vivavoz.wire.items import Item
from vivavoz.wire.mcp import McpTool
from vivavoz.wire.options import AudioFormat, Transcription
from vivavoz.wire.tools import FunctionTool, NamedFunction
from vivavoz.wire.translation import AnyServerEvent


class Send(Fixed, frozen=True, tag_field="what", tag=True):
    """Send an event to everyone, or to one transport. ``format``: the output format, set on
    ``response.output_audio.delta`` and ``session.output_audio.delta`` only (whose sound is 24 kHz PCM)."""

    event: AnyServerEvent
    to: str | None = None
    format: AudioFormat | None = None


class Score(Fixed, frozen=True, tag_field="what", tag=True):
    """Let the VAD hear ``pcm``, whose first sample is the caller's ``start_sample``-th."""

    pcm: bytes
    start_sample: int


class Transcribe(Fixed, frozen=True, tag_field="what", tag=True):
    """Feed: the turn's sound. ``options`` is None where the client asked for no transcription. ``logprobs``:
    it wants to know how sure the recogniser is."""

    options: Transcription | None
    logprobs: bool = False


class Reply(Fixed, frozen=True, tag_field="what", tag=True):
    """Continue ``items``, in which everything spoken stands in its ``transcript``, as heard."""

    items: list[Item]
    model: str
    instructions: str
    tools: list[FunctionTool]
    tool_choice: Literal["none", "auto", "required"] | NamedFunction
    max_output_tokens: int | None
    parallel_tool_calls: bool = True
    effort: str | None = None


class Synthesize(Fixed, frozen=True, tag_field="what", tag=True):
    """Feed: text."""

    voice: str
    speed: float


class Converse(Fixed, frozen=True, tag_field="what", tag=True):
    """The speech-to-speech plan: answer ``audio`` in the light of ``reply.items``."""

    reply: Reply
    speech: Synthesize
    audio: bytes


class Count(Fixed, frozen=True, tag_field="what", tag=True):
    """How many tokens the model reads for each of ``reply.items``, and for instructions and tools together;
    answered by ``Counted``."""

    reply: Reply


class Judge(Fixed, frozen=True, tag_field="what", tag=True):
    """Has the caller finished? ``pcm``: the end of the utterance, at most 8 s."""

    pcm: bytes


class Translate(Fixed, frozen=True, tag_field="what", tag=True):
    """Feed: the caller's sound. ``language``: what to say it in. ``transcription``: the model that is to
    write down the caller's own words, None where nobody asked. ``context``: what was said before, each with
    its translation, oldest first."""

    model: str
    language: str
    transcription: str | None
    context: list[tuple[str, str]]


class ListTools(Fixed, frozen=True, tag_field="what", tag=True):
    """Ask an MCP server for its tools; answered by ``ToolsListed``."""

    tool: McpTool


class CallTool(Fixed, frozen=True, tag_field="what", tag=True):
    """Let an MCP server do something; answered by ``ToolReturned``. ``arguments`` is what the model wrote."""

    tool: McpTool
    name: str
    arguments: str


Task = Transcribe | Translate | Count | Reply | Synthesize | Converse | Judge | ListTools | CallTool


class StartJob(Fixed, frozen=True, tag_field="what", tag=True):
    """``owner``: the item's or the response's id that the work is for, empty where it is neither's."""

    job: int
    task: Task
    owner: str = ""


class Prepare(Fixed, frozen=True, tag_field="what", tag=True):
    """The model will be asked this if the caller says no more: let it read ahead. ``soon``: the caller is
    silent, so it may even answer in secret, and its answer be spoken (``speech``; None: it will be read): a
    job with an equal task may be given what is there then. The newest is all that counts, and none is owed
    anything."""

    reply: Reply
    speech: Synthesize | None = None
    soon: bool = False


class Discard(Fixed, frozen=True, tag_field="what", tag=True):
    """What was to come soon will not, or has been asked for: answer no further in secret."""


class FeedAudio(Fixed, frozen=True, tag_field="what", tag=True):
    job: int
    pcm: bytes


class FeedText(Fixed, frozen=True, tag_field="what", tag=True):
    job: int
    text: str


class FinishJob(Fixed, frozen=True, tag_field="what", tag=True):
    """No more will be fed; the job ends by itself."""

    job: int


class CancelJob(Fixed, frozen=True, tag_field="what", tag=True):
    """Stop at once; nothing the job still says is listened to."""

    job: int


class EndAudio(Fixed, frozen=True, tag_field="what", tag=True):
    """No more sound of this item will come: say when it has been played."""

    item_id: str


class Flush(Fixed, frozen=True, tag_field="what", tag=True):
    """Drop all unplayed sound now and answer with ``Flushed``."""


class Hold(Fixed, frozen=True, tag_field="what", tag=True):
    """Be silent now and lose nothing; answer with ``Held``."""


class Release(Fixed, frozen=True, tag_field="what", tag=True):
    """Go on with the sound that was held."""


class Spend(Fixed, frozen=True, tag_field="what", tag=True):
    """A response is done and has taken this many tokens: answer with ``Spent`` before anything else."""

    tokens: int


class HangUp(Fixed, frozen=True, tag_field="what", tag=True):
    """End the call (``code`` as a WebSocket close code)."""

    code: int
    reason: str


Effect = (
    Send
    | Score
    | StartJob
    | Prepare
    | Discard
    | FeedAudio
    | FeedText
    | FinishJob
    | CancelJob
    | EndAudio
    | Flush
    | Hold
    | Release
    | Spend
    | HangUp
)
