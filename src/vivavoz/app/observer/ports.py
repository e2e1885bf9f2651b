"""What the observer shows of a call, and what it asks of those who record and remember calls.

Shapes as JSON: every struct here is encoded as it stands. Times ``at``, ``since``, ``until``, ``started_at``
and ``ended_at`` are unix seconds; members that end in ``_ms`` are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

Origin = Literal["connect", "token", "adopted"]
"""How a call came to be known: its offer went through us, its token was ours, or an operator named it."""

Filtered = Literal["on", "strict", "off"]
Sender = Literal["server", "console", "tool"]
Track = Literal["caller", "assistant"]
WatchRole = Literal["listen", "coach", "control"]
Status = Literal["live", "ended"]
Attachment = Literal["attaching", "attached", "lost", "refused"]


class CallInfo(msgspec.Struct, kw_only=True):
    """What is known of a call when it begins; never changes afterwards."""

    call_id: str
    upstream: str
    profile: str
    user: str
    origin: Origin
    filtered: Filtered
    browser_reads_session: bool
    """Whether the browser can read the session's instructions and tools."""
    started_at: float
    record: bool


class Gap(msgspec.Struct, kw_only=True):
    """A stretch of the call in which the observer was not attached and events may be missing."""

    since: float
    until: float
    reason: str


class Line(msgspec.Struct, kw_only=True):
    """One item of the conversation. ``text`` is everything that was generated or understood."""

    item_id: str
    role: str
    """``user``, ``assistant`` or ``system``; empty for items that have none."""
    kind: str
    """The item's ``type``, as ``message`` or ``function_call``."""
    text: str = ""
    heard: str | None = None
    """The words that were heard, where fewer than ``text``; null where all of it was, or nobody can say."""
    heard_ms: int | None = None
    """How much of the item's sound was played, where it was cut."""
    status: str = "in_progress"
    """``in_progress``, ``completed``, ``incomplete``, ``failed`` or ``deleted``."""
    at: float
    """When it began: the start of the speech, else the first that was known of it."""
    until: float | None = None
    """When it ended: the end of the speech or of the sound, where that is known."""
    final: bool = False
    """No more words are expected."""


class ToolCall(msgspec.Struct, kw_only=True):
    """One function or MCP call. ``by`` says who answers it: a tool of ours, or the client or the upstream."""

    call_id: str
    name: str
    arguments: str = ""
    output: str | None = None
    by: Literal["application", "client", "upstream"] = "client"
    ms: int | None = None
    """From the finished arguments to the output."""
    status: str = "in_progress"
    """``in_progress``, ``completed``, ``failed`` or ``cancelled``."""
    item_id: str = ""
    response_id: str = ""
    at: float = 0.0


class Usage(msgspec.Struct, kw_only=True):
    """Sums over the call, in tokens unless the name says seconds."""

    responses: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    input_cached_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    transcription_tokens: int = 0
    transcription_seconds: float = 0.0


class Marks(msgspec.Struct, kw_only=True):
    """When things happened after the end of the caller's speech, by the arrival of their events.

    A turn that nobody spoke (typed words, a tool's answer) counts from its ``response.created``.
    """

    speech_stopped_ms: int = 0
    committed_ms: int | None = None
    transcript_ms: int | None = None
    response_created_ms: int | None = None
    first_words_ms: int | None = None
    first_audio_ms: int | None = None
    done_ms: int | None = None


class Stages(msgspec.Struct, kw_only=True):
    """Where the time of a turn went, as the service itself measured it (only our own tells)."""

    vad_ms: float | None = None
    turn_ms: float | None = None
    stt_ms: float | None = None
    llm_first_token_ms: float | None = None
    tts_first_audio_ms: float | None = None
    first_packet_ms: float | None = None


class Turn(msgspec.Struct, kw_only=True):
    """One response and the speech that it answers."""

    n: int
    item_id: str | None = None
    """The caller's item, where there is one."""
    response_id: str | None = None
    at: float
    marks: Marks = msgspec.field(default_factory=Marks)
    stages: Stages | None = None
    interrupted: bool = False
    status: str = "waiting"
    """``waiting`` for a response, then the response's status."""


class ErrorNote(msgspec.Struct, kw_only=True):
    """One ``error`` event, failed response or failed transcription."""

    at: float
    code: str | None
    message: str
    param: str | None = None


class CallSummary(msgspec.Struct, kw_only=True):
    """One row of the list of calls."""

    id: str
    profile: str
    user: str
    origin: Origin
    upstream: str
    status: Status = "live"
    observer: Attachment = "attaching"
    started_at: float
    ended_at: float | None = None
    filtered: Filtered
    turns: int = 0
    last_words: str = ""
    recorded: bool = False


class CallState(CallSummary, kw_only=True):
    """Everything that the observer knows of a call; bounded (see ``state``)."""

    end_reason: str | None = None
    browser_reads_session: bool = True
    session: dict[str, Any] | None = None
    transcript: list[Line] = []
    tools: list[ToolCall] = []
    usage: Usage = msgspec.field(default_factory=Usage)
    turns_log: list[Turn] = []
    errors: list[ErrorNote] = []
    gaps: list[Gap] = []
    recording: str | None = None
    """The recording's id, where the call is recorded; it is the call's id."""


class Entry(msgspec.Struct, kw_only=True):
    """One event of a call's log; ``n`` counts from 1 and never jumps back."""

    n: int
    at: float
    sender: Sender
    seen: bool
    """Whether the browser gets it too."""
    event: msgspec.Raw
    """The event without its sound."""


class Recorder(Protocol):
    """Where a call's record is written. Every method returns at once and never raises."""

    def opened(self, info: CallInfo) -> None:
        """A call is observed from now on; once more for the same call after a restart: its record goes on."""

    def event(self, call_id: str, at: float, sender: Sender, event: bytes) -> None:
        """One event as JSON; sound is never in it."""

    def audio(self, call_id: str, track: Track, position: int, pcm: bytes) -> None:
        """Sound: 24 kHz s16le mono; ``position`` counts samples since the call's start.

        ``assistant`` is what was played and heard, not what was generated.
        """

    def gap(self, call_id: str, since: float, until: float, reason: str) -> None:
        """Events (and sound) between the two times may be missing."""

    def closed(self, call_id: str, at: float, reason: str, state: CallState) -> None:
        """The call is over, or given up; ``state`` is final."""


class Observed(NamedTuple):
    """A call as it was last seen. ``seen_at`` is when: the start of the gap, if it must be marked."""

    info: CallInfo
    last_event_id: str | None
    seen_at: float


class CallStore(Protocol):
    """Which calls are being observed, kept so that a new process finds them. A failure raises ``OSError``."""

    async def opened(self, info: CallInfo) -> None: ...

    async def progress(self, call_id: str, last_event_id: str | None, at: float) -> None:
        """The last event that was seen, and when; called at most once a second and call."""

    async def closed(self, call_id: str, at: float, reason: str) -> None: ...

    async def live(self) -> list[Observed]:
        """Calls that were opened and not closed."""
        ...


class NullRecorder:
    """Records nothing."""

    def opened(self, info: CallInfo) -> None:
        pass

    def event(self, call_id: str, at: float, sender: Sender, event: bytes) -> None:
        pass

    def audio(self, call_id: str, track: Track, position: int, pcm: bytes) -> None:
        pass

    def gap(self, call_id: str, since: float, until: float, reason: str) -> None:
        pass

    def closed(self, call_id: str, at: float, reason: str, state: CallState) -> None:
        pass


class MemoryCallStore:
    """Remembers calls as long as this object lives: for tests, and where nothing is to be kept."""

    def __init__(self) -> None:
        self._calls: dict[str, Observed] = {}

    async def opened(self, info: CallInfo) -> None:
        seen = self._calls.get(info.call_id)
        self._calls[info.call_id] = (
            seen._replace(info=info) if seen else Observed(info, None, info.started_at)
        )

    async def progress(self, call_id: str, last_event_id: str | None, at: float) -> None:
        if call_id in self._calls:
            self._calls[call_id] = Observed(self._calls[call_id].info, last_event_id, at)

    async def closed(self, call_id: str, at: float, reason: str) -> None:
        self._calls.pop(call_id, None)

    async def live(self) -> list[Observed]:
        return list(self._calls.values())


Event = Mapping[str, Any]
"""One decoded event, of which nothing is known but that it is a JSON object."""
