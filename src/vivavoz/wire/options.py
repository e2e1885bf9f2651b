"""The session object: what a client may set, what is in force, and how an update changes it.

Three shapes of the same thing (Realtime reference, "Session"):

* :class:`SessionPatch` is what a client sends: every member may be absent.
* :class:`SessionOptions` is what is in force: every member present, null where it is off.
* :class:`SessionObject` is what the server sends: the options with the session's identity.

A session only transcribes where it began with a :class:`TranscriptionPatch`; its object shows no more than
what can be set then.

An update is a deep merge: an absent member stays as it was, null clears it. ``audio``, ``audio.input`` and
``audio.output`` are merged member by member; everything below them is replaced whole, its own absent members
taking their defaults (recorded behaviour of the hosted services).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vivavoz.wire.base import UNSET, Closed, ClosedFixed, Fixed, UnsetType
from vivavoz.wire.errors import ProtocolError, invalid_value
from vivavoz.wire.mcp import McpChoice, McpTool, shown

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

MAX_DEPTH = 64
"""How deeply free-form JSON (a tool's schema, tracing metadata) may be nested."""


def check_free_form(value: Any, depth: int = MAX_DEPTH) -> None:
    """Whether free-form JSON can be kept and passed on: not nested without end, integers of 64 bits.

    Raises ``ValueError``, which the decoder reports with its place.
    """
    if isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"Nested deeper than {MAX_DEPTH} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            check_free_form(inner, depth - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("Integers of more than 64 bits are not supported")


class FunctionTool(ClosedFixed, frozen=True, tag_field="type", tag="function"):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_free_form(self.parameters)


class NamedFunction(ClosedFixed, frozen=True, tag_field="type", tag="function"):
    name: str


Tool = FunctionTool | McpTool
ToolChoice = Literal["none", "auto", "required"] | NamedFunction | McpChoice


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


def check_kind(patch: AnyPatch, kind: Kind) -> None:
    """What a session is for is settled when it begins. Raises :class:`ProtocolError`."""
    if kind_of(patch) != kind:
        raise invalid_value(
            f"Passing a {kind_of(patch)} session update event to a {kind} session is not allowed.", "type"
        )


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


# ------------------------------------------------------------------------------------- merging


def merge(options: SessionOptions, patch: AnyPatch) -> SessionOptions:
    """``options`` as ``patch`` changes them. Raises :class:`ProtocolError` (params seen from the session)
    and changes nothing where a value contradicts another."""
    check_kind(patch, options.type)
    if isinstance(patch, TranscriptionPatch):
        return _listening(_merge(options, patch))
    if patch.output_modalities is not UNSET:
        check_modalities(patch.output_modalities, "output_modalities")
    merged: SessionOptions = _merge(options, patch)
    if options.tracing is not None and merged.tracing != options.tracing:
        # "Once tracing is enabled for a session, the configuration cannot be modified."
        raise invalid_value("Tracing cannot be modified once it is enabled for a session.", "tracing")
    check_tools(merged.tools, merged.tool_choice)
    return merged


def check_tools(tools: list[Tool], choice: ToolChoice) -> None:
    """Whether tools can be told apart, and the one that is chosen is there. Raises :class:`ProtocolError`."""
    names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
    labels = [tool.server_label for tool in tools if isinstance(tool, McpTool)]
    for name in names:
        if names.count(name) > 1:
            raise invalid_value(f"Duplicate tool name: '{name}'.", "tools")
    for label in labels:
        if labels.count(label) > 1:
            raise invalid_value(f"Duplicate MCP server label: '{label}'.", "tools")
    if isinstance(choice, NamedFunction) and choice.name not in names:
        raise invalid_value(f"Tool choice '{choice.name}' not found in 'tools' parameter.", "tool_choice")
    if isinstance(choice, McpChoice) and choice.server_label not in labels:
        raise invalid_value(
            f"Tool choice '{choice.server_label}' not found in 'tools' parameter.", "tool_choice"
        )


def check_modalities(modalities: list[Modality], param: str) -> None:
    """One modality at a time: the other combinations existed in the beta only."""
    if modalities not in (["text"], ["audio"]):
        raise invalid_value(
            f"Invalid modalities: {modalities}. Supported combinations are: ['text'] and ['audio'].", param
        )


def effort_of(reasoning: Reasoning | UnsetType | None) -> str | None:
    """None: as the model is used to."""
    return reasoning.effort if isinstance(reasoning, Reasoning) and reasoning.effort else None


def voice_name(voice: Voice) -> str:
    return voice if isinstance(voice, str) else voice.id


def effective_session(patch: AnyPatch | None, model: str) -> SessionOptions:
    """The options a new session starts with. An empty ``instructions`` keeps the default at minting time
    (recorded); ``model`` is what the URL or the token says and yields to the patch's. A transcription session
    transcribes before it is told how."""
    options = SessionOptions(model=model)
    if patch is None:
        return options
    if isinstance(patch, TranscriptionPatch):
        listening = AudioOptions(input=InputOptions(transcription=Transcription()))
        return merge(SessionOptions(type="transcription", model=model, audio=listening), patch)
    if patch.instructions == "":
        patch = msgspec.structs.replace(patch, instructions=UNSET)
    return merge(options, patch)


def _listening(options: SessionOptions) -> SessionOptions:
    """Turns are found as ever, but nothing answers them."""
    rule = options.audio.input.turn_detection
    if rule is None:
        return options
    if isinstance(rule, ServerVad) and rule.idle_timeout_ms is not None:
        where = "audio.input.turn_detection.idle_timeout_ms"
        raise invalid_value(f"'{where}' is not available in transcription sessions.", where)
    rule = msgspec.structs.replace(rule, create_response=False, interrupt_response=False)
    heard = msgspec.structs.replace(options.audio.input, turn_detection=rule)
    return msgspec.structs.replace(options, audio=msgspec.structs.replace(options.audio, input=heard))


def _merge(base: Any, patch: Any) -> Any:
    changes: dict[str, Any] = {}
    for name in patch.__struct_fields__:
        value = getattr(patch, name)
        if value is UNSET:
            continue
        if isinstance(value, AudioPatch | TranscriptionAudioPatch | InputPatch | OutputPatch):
            value = _merge(getattr(base, name), value)
        elif isinstance(value, NoTurnDetection):
            value = None
        elif isinstance(value, AudioFormat):
            value = PCM if value.type == "audio/pcm" else AudioFormat(type=value.type)
        changes[name] = value
    return msgspec.structs.replace(base, **changes)


__all__ = [
    "PCM",
    "VOICES",
    "AnyPatch",
    "AnySessionObject",
    "AudioFormat",
    "FunctionTool",
    "NamedFunction",
    "Prompt",
    "ProtocolError",
    "Reasoning",
    "SemanticVad",
    "ServerVad",
    "SessionObject",
    "SessionOptions",
    "SessionPatch",
    "Tool",
    "ToolChoice",
    "TranscriptionPatch",
    "check_kind",
    "check_modalities",
    "check_tools",
    "effective_session",
    "effort_of",
    "kind_of",
    "merge",
    "model_of",
    "session_object",
    "voice_name",
]
