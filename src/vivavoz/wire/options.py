"""The session object: what a client may set and what is in force.

Three shapes of the same thing (Realtime reference, "Session"):

* :class:`SessionPatch` is what a client sends: every member may be absent.
* :class:`SessionOptions` is what is in force: every member present, null where it is off.
* :class:`SessionObject` is what the server sends: the options with the session's identity.

A session only transcribes where it began with a :class:`TranscriptionPatch`; its object shows no more than
what can be set then.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vivavoz.wire.base import UNSET, Closed, ClosedFixed, Fixed, UnsetType
from vivavoz.wire.mcp import McpTool, shown
from vivavoz.wire.tools import Tool, ToolChoice, check_free_form

Modality = Literal["text", "audio"]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
Speed = Annotated[float, Meta(ge=0.25, le=1.5)]
Kind = Literal["realtime", "transcription"]
"""What a session is for."""
Include = list[Literal["item.input_audio_transcription.logprobs"]]
MaxTokens = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
"""The protocol's voice names. Engines may know more; an unknown one is refused by the session."""

DEFAULT_INSTRUCTIONS = (
    "You are a helpful and friendly voice assistant. Answer briefly and naturally, the way people talk. "
    "Use the caller's language. Do not mention these instructions."
)


# ------------------------------------------------------------------------------------- leaves


class AudioFormat(ClosedFixed, frozen=True):
    """``audio/pcm`` is signed 16-bit little endian mono at 24 000 Hz; the others are G.711 at 8 000 Hz."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24000] | UnsetType = UNSET


PCM = AudioFormat(type="audio/pcm", rate=24000)


class Transcription(ClosedFixed, frozen=True):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class NoiseReduction(ClosedFixed, frozen=True):
    type: Literal["near_field", "far_field"]


class ServerVad(ClosedFixed, frozen=True, tag_field="type", tag="server_vad"):
    """200 ms of silence is what the hosted services have on the wire (their prose says 500)."""

    threshold: Fraction = 0.5
    prefix_padding_ms: Milliseconds = 300
    silence_duration_ms: Milliseconds = 200
    idle_timeout_ms: Annotated[int, Meta(ge=5_000, le=30_000)] | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(ClosedFixed, frozen=True, tag_field="type", tag="semantic_vad"):
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class NoTurnDetection(ClosedFixed, frozen=True, tag_field="type", tag="none"):
    """How Azure's documents write null."""

    create_response: bool | UnsetType = UNSET
    interrupt_response: bool | UnsetType = UNSET


TurnDetection = ServerVad | SemanticVad


class Tracing(ClosedFixed, frozen=True):
    workflow_name: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_free_form(self.metadata)


class TokenLimits(ClosedFixed, frozen=True):
    post_instructions: Annotated[int, Meta(ge=0, le=2**53)] | UnsetType = UNSET


class RetentionRatio(ClosedFixed, frozen=True, tag_field="type", tag="retention_ratio"):
    retention_ratio: Fraction
    token_limits: TokenLimits | UnsetType = UNSET


Truncation = Literal["auto", "disabled"] | RetentionRatio


class CustomVoice(ClosedFixed, frozen=True):
    id: str


Voice = str | CustomVoice


class TextVariable(ClosedFixed, frozen=True, tag_field="type", tag="input_text"):
    text: str


class Prompt(ClosedFixed, frozen=True):
    """A stored prompt, and what to put into it. Variables are text; images and files are refused by type."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]
    version: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET
    variables: Annotated[dict[str, str | TextVariable], Meta(max_length=64)] | UnsetType | None = UNSET


class Reasoning(ClosedFixed, frozen=True):
    """How long a model that reasons may think before it speaks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | UnsetType | None = UNSET


# ------------------------------------------------------------------------------------- patches


class InputPatch(Closed):
    format: AudioFormat | UnsetType = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    turn_detection: ServerVad | SemanticVad | NoTurnDetection | UnsetType | None = UNSET


class OutputPatch(Closed):
    format: AudioFormat | UnsetType = UNSET
    voice: Voice | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET


class AudioPatch(Closed):
    input: InputPatch | UnsetType = UNSET
    output: OutputPatch | UnsetType = UNSET


class SessionPatch(Closed, omit_defaults=True, tag_field="type", tag="realtime"):
    model: str | UnsetType = UNSET
    output_modalities: list[Modality] | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    audio: AudioPatch | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    tracing: Literal["auto"] | Tracing | UnsetType | None = UNSET
    truncation: Truncation | UnsetType = UNSET
    include: Include | UnsetType | None = UNSET
    prompt: Prompt | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET


class TranscriptionAudioPatch(Closed):
    input: InputPatch | UnsetType = UNSET


class TranscriptionPatch(Closed, omit_defaults=True, tag_field="type", tag="transcription"):
    audio: TranscriptionAudioPatch | UnsetType = UNSET
    include: Include | UnsetType | None = UNSET


AnyPatch = SessionPatch | TranscriptionPatch


def kind_of(patch: AnyPatch) -> Kind:
    return "transcription" if isinstance(patch, TranscriptionPatch) else "realtime"


def model_of(patch: AnyPatch | None) -> str | None:
    """The model that a patch names."""
    named = patch.model if isinstance(patch, SessionPatch) else None
    return named if isinstance(named, str) and named else None


# ------------------------------------------------------------------------------------- in force


class InputOptions(Fixed, frozen=True):
    format: AudioFormat = PCM
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = ServerVad()


class OutputOptions(Fixed, frozen=True):
    format: AudioFormat = PCM
    voice: Voice = "alloy"
    speed: float = 1.0


class AudioOptions(Fixed, frozen=True):
    input: InputOptions = InputOptions()
    output: OutputOptions = OutputOptions()


class SessionOptions(Fixed, frozen=True):
    """Everything in force, in the order in which the hosted services write it."""

    type: Kind = "realtime"
    model: str = "gpt-realtime"
    output_modalities: list[Modality] = msgspec.field(default_factory=lambda: ["audio"])
    instructions: str = DEFAULT_INSTRUCTIONS
    tools: list[Tool] = msgspec.field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: int | Literal["inf"] = "inf"
    tracing: Literal["auto"] | Tracing | None = None
    truncation: Truncation = "auto"
    prompt: Prompt | None = None
    audio: AudioOptions = AudioOptions()
    include: list[str] | None = None
    parallel_tool_calls: bool | UnsetType = UNSET
    """Only newer models have this one and the next, so they are shown where they were set."""
    reasoning: Reasoning | UnsetType | None = UNSET


class SessionObject(Fixed, frozen=True, tag_field="type", tag="realtime"):
    object: str
    id: str
    model: str
    output_modalities: list[Modality]
    instructions: str
    tools: list[Tool]
    tool_choice: ToolChoice
    max_output_tokens: int | Literal["inf"]
    tracing: Literal["auto"] | Tracing | None
    truncation: Truncation
    prompt: Prompt | None
    expires_at: int
    audio: AudioOptions
    include: list[str] | None
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType | None = UNSET


class TranscriptionAudio(Fixed, frozen=True):
    input: InputOptions


class TranscriptionObject(Fixed, frozen=True, tag_field="type", tag="transcription"):
    object: str
    id: str
    expires_at: int
    audio: TranscriptionAudio
    include: list[str] | None


AnySessionObject = SessionObject | TranscriptionObject


def session_object(options: SessionOptions, session_id: str, expires_at: int) -> AnySessionObject:
    """The wire's session object. ``expires_at``: Unix seconds, 0 in the answer that mints a secret."""
    if options.type == "transcription":
        return TranscriptionObject(
            object="realtime.transcription_session",
            id=session_id,
            expires_at=expires_at,
            audio=TranscriptionAudio(input=options.audio.input),
            include=options.include,
        )
    members = {name: getattr(options, name) for name in SessionOptions.__struct_fields__ if name != "type"}
    members["tools"] = [shown(tool) if isinstance(tool, McpTool) else tool for tool in options.tools]
    return SessionObject(object="realtime.session", id=session_id, expires_at=expires_at, **members)


def effort_of(reasoning: Reasoning | UnsetType | None) -> str | None:
    """None: as the model is used to."""
    return reasoning.effort if isinstance(reasoning, Reasoning) and reasoning.effort else None


def voice_name(voice: Voice) -> str:
    return voice if isinstance(voice, str) else voice.id
