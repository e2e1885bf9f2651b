"""How an update changes the session's options, and what contradicts what in them.

An update is a deep merge: an absent member stays as it was, null clears it. ``audio``, ``audio.input`` and
``audio.output`` are merged member by member; everything below them is replaced whole, its own absent members
taking their defaults (recorded behaviour of the hosted services).
"""

from __future__ import annotations

from typing import Any

import msgspec

from vivavoz.wire.base import UNSET
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.mcp import McpChoice, McpTool
from vivavoz.wire.options import (
    PCM,
    AnyPatch,
    AudioFormat,
    AudioOptions,
    AudioPatch,
    InputOptions,
    InputPatch,
    Kind,
    Modality,
    NoTurnDetection,
    OutputPatch,
    ServerVad,
    SessionOptions,
    Transcription,
    TranscriptionAudioPatch,
    TranscriptionPatch,
    kind_of,
)
from vivavoz.wire.tools import FunctionTool, NamedFunction, Tool, ToolChoice


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


def check_kind(patch: AnyPatch, kind: Kind) -> None:
    """What a session is for is settled when it begins. Raises :class:`ProtocolError`."""
    if kind_of(patch) != kind:
        raise invalid_value(
            f"Passing a {kind_of(patch)} session update event to a {kind} session is not allowed.", "type"
        )


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
