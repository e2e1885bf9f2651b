"""The ports behind which every model stands: VAD, turn detector, STT, LLM, TTS, speech-to-speech.

Shapes shared by all of them:

* PCM is ``bytes``: mono, signed 16-bit little endian, 24 000 Hz (48 bytes per millisecond). An engine that
  wants another rate resamples inside itself.
* A generator is cancelled by closing it (``aclose``) or by cancelling the task that iterates it. Work must
  stop at once: nobody waits for a cancelled engine.
* An engine that cannot do its work raises :class:`EngineError`; anything else it raises is our own bug, and
  the caller treats it as a failed job just the same.
* ``options`` carry what the session says, in the Realtime reference's words; an engine ignores nothing
  silently: what it cannot honour is written down in ``docs/engines.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from vivavoz.wire.items import Item
from vivavoz.wire.mcp import ListedTool, McpFailure
from vivavoz.wire.transcription import LogProb, Segment

SAMPLE_RATE = 24_000
"""Samples per second of every PCM buffer that crosses a port (Hz)."""

BYTES_PER_MS = 48
"""Bytes of PCM per millisecond at :data:`SAMPLE_RATE`."""


class EngineError(Exception):
    """An engine failed at its work; the session turns it into a failed response or transcription.

    ``code`` is a short stable name for programs, ``message`` a sentence for people. Neither may carry a
    credential, a prompt or what was said.
    """

    def __init__(self, message: str, code: str = "engine_failed") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


# --------------------------------------------------------------------------- voice activity


class Score(msgspec.Struct, frozen=True):
    """How likely one frame of the caller's sound is speech.

    ``end_sample`` is the position after the frame's last sample, counted from the first sample this stream
    was ever fed (24 kHz). Frames of one stream are contiguous and in order.
    """

    end_sample: int
    probability: float


class VadStream(Protocol):
    """Voice activity of one call. Fed every sample of the caller, in order."""

    async def score(self, pcm: bytes) -> list[Score]:
        """Score the frames that ``pcm`` (any even length) completes; an incomplete rest waits for more."""
        ...


class Vad(Protocol):
    """Opens one stream a call; may batch the frames of all its streams."""

    def open(self) -> VadStream: ...


class TurnDetector(Protocol):
    """Says whether the caller has finished, from how it was said."""

    async def judge(self, pcm: bytes) -> float:
        """Probability 0..1 that the utterance ``pcm`` (at most its last 8 s matter) is complete."""
        ...


# --------------------------------------------------------------------------- recognition


class SttOptions(msgspec.Struct, frozen=True, kw_only=True):
    model: str | None = None
    """What ``audio.input.transcription.model`` names, or None where the session transcribes nothing."""
    language: str | None = None
    """ISO 639-1, or None for the engine's own choice."""
    prompt: str | None = None
    logprobs: bool = False
    """Say how sure you are of each token; asked only of an engine that offers it."""


class Transcript(msgspec.Struct, frozen=True):
    """Words heard. ``final`` False: ``text`` is added to what came before (append only, never rewritten).

    ``final`` True comes exactly once, last, and ``text`` is the whole transcript, authoritative. It is empty
    for silence, noise, and the words that the model is known to invent for them.
    """

    text: str
    final: bool = False
    logprobs: list[LogProb] | None = None
    """Of the tokens of ``text``, where they were asked for."""
    draft: bool = False
    """``text`` is what the whole would be if the caller said no more. The next one may be quite another; it
    is told to nobody, and lets the language model read ahead."""
    segments: list[Segment] = []
    """With the final text: who said what, where the engine tells speakers apart."""


class Stt(Protocol):
    """One that can say how sure it is of what it heard says so: ``gives_logprobs = True``."""

    def transcribe(self, audio: AsyncIterator[bytes], options: SttOptions) -> AsyncIterator[Transcript]:
        """Transcribe one utterance; ``audio`` ends when the turn does."""
        ...


# --------------------------------------------------------------------------- language


class TextDelta(msgspec.Struct, frozen=True):
    text: str


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A piece of a function call. ``index`` counts the calls of one reply from 0; ``name`` is whole at the
    first piece of an index and may be empty in later ones; the pieces of ``arguments`` join to JSON."""

    index: int
    name: str
    arguments: str


class Usage(msgspec.Struct, frozen=True):
    """Text tokens, as the model's own tokenizer counts them. At most once a reply, near its end."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


class Finish(msgspec.Struct, frozen=True):
    """Why a reply ended, where it was not the model's own stop. Last, at most once."""

    reason: Literal["stop", "max_output_tokens", "content_filter"]


class ReplyOptions(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    instructions: str = ""
    tools: Sequence[dict[str, Any]] = ()
    """Function tools as the Realtime API writes them: type, name, description, parameters (JSON schema)."""
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] = "auto"
    max_output_tokens: int | None = None
    """None: no limit but the engine's own."""
    parallel_tool_calls: bool = True
    """False: one call at most. The session drops what comes after the first; a model that knows need not
    write it."""
    effort: str | None = None
    """How long to think (``minimal`` to ``xhigh``); asked only of a model that says ``reasons = True``."""


ReplyDelta = TextDelta | ToolCallDelta | Usage | Finish


class Llm(Protocol):
    """One that sees images says so: ``sees = True``. Others are given none. One that knows how much it can
    read says so: ``window`` (:class:`Window`). One that may be asked in vain has ``tentative()``, which gives
    an ``Llm`` that is :class:`Tentative` too, or None."""

    def reply(self, items: Sequence[Item], options: ReplyOptions) -> AsyncIterator[ReplyDelta]:
        """Continue the conversation ``items`` (oldest first). What was spoken stands in the items'
        ``transcript``; assistant items hold what the caller really heard.

        Nothing is left out: where all of it is too long, raises EngineError ``context_length_exceeded``
        before anything else, and is asked again with less if the session may truncate."""
        ...


class Window(msgspec.Struct, frozen=True):
    """``tokens``: what the model can hold, its answer included. ``output``: its longest answer."""

    tokens: int
    output: int


class Counted(msgspec.Struct, frozen=True):
    """Tokens of each item, and of what stands before them: instructions and tools."""

    items: list[int]
    instructions: int


@runtime_checkable
class Counts(Protocol):
    """What a model may be as well: one that says how many tokens something is before it reads it."""

    async def count(self, items: Sequence[Item], options: ReplyOptions) -> Counted:
        """Each item as it stands in the model's prompt, with what is put around it. Cheap: nothing goes
        through the model. Raises EngineError, and is done without then."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """What an ``Llm`` may be as well: one that reads ahead what it may be asked."""

    async def prepare(self, items: Sequence[Item], options: ReplyOptions) -> None:
        """Read ``instructions``, ``tools`` and ``items`` now, so that a reply to them, or to what begins with
        them, need not (a small model on a CPU reads about 70 tokens a second). Cancel it when they change.
        Raises EngineError, which nobody need care about."""
        ...


@runtime_checkable
class Tentative(Protocol):
    """One piece of work that may be in vain: made by ``tentative()`` of an engine that is cheap to ask so, in
    place of the engine and used like it, once. It is begun only while that engine has nothing else to do, and
    ends with EngineError ``engine_busy`` as soon as it has."""

    async def keep(self) -> bool:
        """The work is wanted after all: from now on it is like any other. False: there is none of it."""
        ...


# --------------------------------------------------------------------------- speech


class SpeechOptions(msgspec.Struct, frozen=True, kw_only=True):
    voice: str = "alloy"
    speed: float = 1.0


class Speech(msgspec.Struct, frozen=True):
    """Sound and the words it says, together, so that cutting one cuts the other.

    ``text`` of all chunks joins to exactly the text that was given to the engine.
    """

    pcm: bytes
    text: str


class Tts(Protocol):
    """One that can say only some languages names them: ``languages = ("en",)`` (ISO 639-1). One that may be
    asked in vain has ``tentative()``, as an ``Llm`` may."""

    def synthesize(self, text: AsyncIterator[str], options: SpeechOptions) -> AsyncIterator[Speech]:
        """Speak ``text`` as it arrives; the first sound must leave before the text is complete (clause-wise),
        and no chunk may be longer than a few seconds."""
        ...


# --------------------------------------------------------------------------- speech to speech


class SpeechToSpeech(Protocol):
    """A model that hears and speaks by itself: the other plan beside transcribe, reply, synthesize."""

    def converse(
        self, items: Sequence[Item], audio: bytes, options: ReplyOptions, speech: SpeechOptions
    ) -> AsyncIterator[Transcript | Speech | ReplyDelta]:
        """Answer ``audio`` (the caller's last turn; empty where the last item is text) in the light of
        ``items``. May yield the caller's :class:`Transcript` when it knows it."""
        ...


# --------------------------------------------------------------------------- translation


class TranslationOptions(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    language: str
    """What to say it in: a code that :func:`~vivavoz.wire.languages.base_of` knows."""
    transcription: str | None = None
    """The model that is to write down what the speaker said, None where nobody will read it."""
    context: Sequence[tuple[str, str]] = ()
    """The phrases before, each with its translation, oldest first."""


class Translator(Protocol):
    """Says in another language what somebody says: a speech translation model, or several engines."""

    @property
    def languages(self) -> Sequence[str] | None:
        """What it can say (ISO 639-1); None: anything."""
        ...

    @property
    def continuous(self) -> bool:
        """Whether it wants all sound, silence included, in one ``translate`` that speaks while it listens.
        False: it is given phrases, each with its own ``audio``."""
        ...

    def translate(
        self, audio: AsyncIterator[bytes], options: TranslationOptions
    ) -> AsyncIterator[Transcript | Speech]:
        """Translate ``audio``, which ends when the phrase does. Transcripts say what was said, as for
        :class:`Stt` (a continuous one has no ``final``); speech is the translation. Ends by itself once
        ``audio`` has ended and everything is said."""
        ...


# --------------------------------------------------------------------------- tools of MCP servers


class ToolServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where an MCP server is, and what to tell it. ``headers`` hold secrets."""

    url: str
    headers: dict[str, str] = {}


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool said, or how it failed: exactly one of the two."""

    output: str | None = None
    error: McpFailure | None = None


class ToolServers(Protocol):
    """Asks MCP servers on behalf of a session. Bounded in time and size."""

    async def list_tools(self, server: ToolServer) -> list[ListedTool]:
        """Raises EngineError, where the server must not, cannot or will not be asked too."""
        ...

    async def call(self, server: ToolServer, name: str, arguments: dict[str, Any]) -> ToolResult:
        """Raises nothing for what a server can do wrong."""
        ...


# --------------------------------------------------------------------------- a set of them


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``/healthz`` and of the page: what runs, and how good it is said to be."""

    task: Literal["vad", "turn", "stt", "llm", "tts", "speech_to_speech"]
    name: str
    state: Literal["loading", "ready", "failed", "absent"]
    quality: str | None = None
    """e.g. ``demo``: shown to people, so that nobody takes a tiny model for an assistant."""
    detail: str | None = None
    """A sentence; for ``failed`` and ``absent`` with the command that mends it."""


class Engines(Protocol):
    """What a call needs. Shared by all calls of a worker; every attribute is ready after ``start``."""

    vad: Vad
    turn: TurnDetector | None
    stt: Stt | None
    llm: Llm | None
    tts: Tts | None
    speech_to_speech: SpeechToSpeech | None
    """Set: the session uses the ``converse`` plan and stt/llm/tts may be None."""

    @property
    def translator(self) -> Translator | None:
        """For translation sessions; None: there can be none."""
        ...

    def for_call(self) -> Engines:
        """The engines as one call sees them, asked for once when it begins; most return themselves. What
        it returns shares the models, and is neither started nor stopped."""
        ...

    async def start(self) -> None:
        """Load and warm what needs it; returns when calls can be served. Raises EngineError."""
        ...

    async def stop(self) -> None: ...

    def status(self) -> list[EngineStatus]: ...
