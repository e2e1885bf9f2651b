"""Everything a session remembers, as one tree of plain data: what ``dump`` writes and ``load`` reads."""

from __future__ import annotations

from typing import Literal

from vivavoz.session.backchannels import BACK_CHANNELS
from vivavoz.session.conversation import Conversation
from vivavoz.session.ids import Ids
from vivavoz.session.input_audio import InputAudio
from vivavoz.session.jobs import Job, Jobs, Kind
from vivavoz.session.plan import Request
from vivavoz.session.playout import Playout
from vivavoz.session.response import Response
from vivavoz.session.tools import Server
from vivavoz.session.turn import Turn
from vivavoz.wire.base import Data, Fixed
from vivavoz.wire.options import VOICES, SessionOptions


class Yielding(Fixed, frozen=True):
    """How a caller's speech over our voice is told from an interruption, while the voice is held.

    ``words``: so many that are no back-channels are one. ``resume_after_ms``: how long after the caller's
    last sound the voice comes back where nothing was understood. ``back_channels``: words and phrases, in
    any case.
    """

    words: int = 1
    resume_after_ms: int = 1_000
    back_channels: tuple[str, ...] = BACK_CHANNELS


class Settings(Fixed, frozen=True):
    """What the operator decides, once, for a session.

    ``plan``: whether the model hears and speaks by itself (``converse``) or is one of three (``cascade``).
    ``duration_s``: the longest a session may last, in seconds since its first step.
    ``expires_at``: the same moment in Unix seconds, as the client is told.
    ``input_ms``: the most of the caller's uncommitted sound that is kept.
    ``interrupt_after_ms``: how much of a turn must have been speech before it interrupts an answer.
    ``yielding``: hold our voice while that is decided, where playout is the server's; None: it is at once.
    ``reduces_noise``: whether what brings the caller's sound can take noise out of it.
    ``model_given``: False where nobody has named a model yet, so that the first update may.
    ``logprobs``: whether the recogniser can say how sure it is.
    ``mcp``: whether there is anybody to ask MCP servers.
    ``transcribers``: the names that ``transcription.model`` may be (Azure's deployments); None: any.
    ``reasons``: whether the model can be told how long to think.
    ``rated``: whether tokens are counted against a limit: not, in silence, or so that the client is told.
    ``sees``: whether the model takes images.
    ``window``: tokens of the model's context, prompt and answer together; None: not known.
    ``longest_reply``: the most tokens that it answers.
    ``counts``: whether its engine can be asked how many tokens something has.
    """

    plan: Literal["cascade", "converse"] = "cascade"
    judges_turns: bool = False
    voices: tuple[str, ...] = VOICES
    duration_s: float = 3_600.0
    expires_at: int = 0
    input_ms: int = 300_000
    interrupt_after_ms: int = 0
    yielding: Yielding | None = None
    model_given: bool = True
    mcp: bool = True
    sees: bool = False
    window: int | None = None
    longest_reply: int = 4_096
    counts: bool = False
    reduces_noise: bool = True
    logprobs: bool = True
    reasons: bool = False
    transcribers: tuple[str, ...] | None = None
    rated: Literal["no", "silently", "told"] = "no"


class Spoke(Data):
    """The turn being spoken: the item it will become, and the job that listens."""

    item_id: str
    start: int
    """Its first sample, padding included."""
    fed: int
    """Up to where the job has heard."""
    transcription: int | None = None
    judge: int | None = None
    interrupts_at: int | None = None
    """An answer goes on until speech has reached this sample; None: it is not in the way."""
    failure: tuple[str, str] | None = None
    """Why the job gave up before the turn was over: code and message."""
    said: str = ""
    """What the job has told of it piece by piece."""
    draft: str = ""
    """What the job has last taken it to be, were it over."""
    drafted: int = 0
    """When it said so, in the caller's samples."""
    silent: bool = False
    """It may be over: the caller has stopped just now."""
    guesses: int = 0
    """How often its answer was begun in secret."""


class Idle(Data):
    """Since when nobody has spoken: the time, and the caller's sample then."""

    since: float
    sample: int


class Barge(Data):
    """Speech over our voice of which it is not decided yet whether it is an interruption."""

    turns: list[str]
    """The caller's turns of which it is not known: items, the last one perhaps still being spoken."""
    response: str | None
    """The response that was in progress as it began."""
    unanswered: list[str] = []
    """Turns to be answered if it is one."""
    left_ms: int | None = None
    """What our voice had still to say as it was held."""
    voiced: int = 0
    """The end of the caller's last speech for which it was."""
    until: float | None = None
    """How long it is held; None: it is not."""
    over: bool = False
    """Nothing is left to interrupt; all that is decided is whether the caller is answered."""


class Decision(Data):
    """A client's answer to a request for its approval."""

    request: Request
    approved: bool


class State(Data, kw_only=True):
    id: str
    ids: Ids
    settings: Settings
    options: SessionOptions
    conversation: Conversation
    began: float | None = None
    audio: InputAudio
    turn: Turn
    spoke: Spoke | None = None
    barge: Barge | None = None
    flushing: bool = False
    """After an interruption: until it is known what was heard, nothing is asked."""
    jobs: Jobs
    playout: Playout
    responses: dict[str, Response] = {}
    """Those in progress: at most one of the conversation, and any number out of band."""
    answering: list[str] = []
    """Committed turns that are to be answered, once they are understood and nothing else is being said."""
    servers: dict[str, Server] = {}
    """MCP servers, by :func:`~vivavoz.session.tools.key_of`."""
    requests: dict[str, Request] = {}
    """Approvals that were asked for, by the item that asks."""
    decided: list[Decision] = []
    """Approvals to be acted on, once nothing else is being said."""
    partial: dict[str, str] = {}
    """Transcription told to the client so far, by item, while it is still coming."""
    foreseen: str | None = None
    """The turn whose answer may be in the making in secret: the item that it becomes."""
    idle: Idle | None = None
    """Armed while nobody speaks, where ``idle_timeout_ms`` is set."""
    preface: tuple[str, int] | None = None
    """A digest of the instructions and tools that were counted last, and their tokens."""
    tokens_per_byte: float = 0.25
    """Of text that nobody counts before the model reads it."""
    voiced: bool = False
    """Assistant audio is present: the voice is fixed."""
    ended: bool = False

    @property
    def active(self) -> Response | None:
        """The conversation's response in progress."""
        for response in self.responses.values():
            if response.conversation_id is not None:
                return response
        return None

    def in_the_making(self, item_id: str) -> bool:
        """Whether an item of this id is still being spoken, written or listed, deleted or not: its ``done``
        is yet to come, so the id is not free."""
        if self.spoke is not None and self.spoke.item_id == item_id:
            return True
        if any(server.item_id == item_id and server.job is not None for server in self.servers.values()):
            return True
        return any(
            output.item_id == item_id
            for response in self.responses.values()
            for output in response.outputs[response.cursor :]
        )

    def understanding(self) -> bool:
        """Whether something committed is still being transcribed, or what it does to what is being said is
        not settled yet: what was heard of that must be known first."""
        barge = self.barge
        if self.flushing or (barge is not None and not barge.over and any(map(self._known, barge.turns))):
            return True
        return any(
            job.kind is Kind.TRANSCRIBE and self.conversation.get(job.owner) is not None
            for job in self.jobs.live.values()
        )

    def _known(self, item_id: str) -> bool:
        entry = self.conversation.get(item_id)
        return entry is not None and entry.transcription is None

    def considers(self) -> bool:
        """Whether our voice is held while it is found out if the caller interrupts it."""
        cascade = self.settings.plan == "cascade"
        return self.settings.yielding is not None and cascade and self.playout.enabled

    def response_of(self, job: Job) -> Response | None:
        return self.responses.get(job.owner)
