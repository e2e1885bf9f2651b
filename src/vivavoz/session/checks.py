"""Whether this server can do what is asked of it. Each raises :class:`ProtocolError`."""

from __future__ import annotations

from typing import Any

from vivavoz.session import mcp
from vivavoz.session.state import Settings
from vivavoz.wire.base import UnsetType
from vivavoz.wire.errors import invalid_value
from vivavoz.wire.options import Reasoning, SessionOptions, effort_of, voice_name


def check_options(settings: Settings, options: SessionOptions) -> None:
    """What this server can do of what may be asked. The error is seen from the session."""
    check_voice(settings, options.audio.output.voice, "audio.output.voice")
    mcp.check_available(settings, options.tools, "tools")
    check_reasoning(settings, options.reasoning, "reasoning")
    if options.audio.input.noise_reduction is not None and not settings.reduces_noise:
        raise invalid_value(
            "This server cannot reduce noise: the package 'webrtc-noise-gain' is not installed. Supported "
            "value: null.",
            "audio.input.noise_reduction",
        )
    if options.include and not settings.logprobs:
        raise invalid_value(
            f"'{options.include[0]}' is not available: the recogniser of this server does not say how sure "
            "it is. Supported values: null and [].",
            "include",
        )


def check_voice(settings: Settings, voice: Any, param: str) -> None:
    name = voice_name(voice)
    if name not in settings.voices:
        known = [f"'{v}'" for v in settings.voices]
        raise invalid_value(
            f"Invalid value: '{name[:100]}'. Supported values are: {', '.join(known[:-1])} and {known[-1]}.",
            param,
        )


def check_reasoning(settings: Settings, reasoning: Reasoning | UnsetType | None, param: str) -> None:
    if effort_of(reasoning) is not None and not settings.reasons:
        raise invalid_value(
            "'reasoning' is not supported by this model: it does not let itself be told how long to think.",
            param,
        )
