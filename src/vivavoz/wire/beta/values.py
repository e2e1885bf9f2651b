"""Members whose value differs between the beta and GA, not only their name.

``*_to_ga`` takes the value and its path in the client's event, and raises
:class:`~vivavoz.wire.errors.ProtocolError` under that path. What is wrong in the same way in GA is passed on
as it is: the one validation is the GA types'. ``*_to_beta`` takes what we send and raises nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vivavoz.wire.codec import translate
from vivavoz.wire.errors import ProtocolError, invalid_value, unknown
from vivavoz.wire.options import MaxTokens

TEMPERATURE = 0.8
"""What every beta session says. The engines' own sampling is in force."""


class _Format(msgspec.Struct):
    value: Literal["pcm16", "g711_ulaw", "g711_alaw"]


class _Temperature(msgspec.Struct):
    value: Annotated[float, Meta(ge=0.6, le=1.2)] | None


class _MaxTokens(msgspec.Struct):
    value: MaxTokens


_FORMATS: dict[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {ga["type"]: beta for beta, ga in _FORMATS.items()}


def same_to_ga(value: Any, where: str) -> Any:
    return value


def same_to_beta(value: Any) -> Any:
    return value


def modalities_to_ga(value: Any, where: str) -> Any:
    """The beta's ``["audio", "text"]`` (speech with its transcript) is GA's ``["audio"]``."""
    if not isinstance(value, list) or not all(name in ("text", "audio") for name in value):
        return value
    match sorted(value):
        case ["text"]:
            return ["text"]
        case ["audio", "text"]:
            return ["audio"]
        case _:
            raise invalid_value(
                f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio', 'text'].",
                where,
            )


def modalities_to_beta(value: Any) -> Any:
    return ["audio", "text"] if value == ["audio"] else value


def format_to_ga(value: Any, where: str) -> Any:
    _check(value, _Format, where)
    return _FORMATS[value]


def format_to_beta(value: Any) -> Any:
    return _FORMAT_NAMES.get(value["type"]) if isinstance(value, dict) else value


def turn_detection_to_ga(value: Any, where: str) -> Any:
    """The type may be left out, and members of the SDK's one class for both kinds may be null."""
    if not isinstance(value, dict):
        return value
    given = {name: member for name, member in value.items() if member is not None}
    if "idle_timeout_ms" in given:
        raise unknown(f"{where}.idle_timeout_ms")
    return {"type": "server_vad", **given}


def turn_detection_to_beta(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: member for name, member in value.items() if name != "idle_timeout_ms"}


def tools_to_ga(value: Any, where: str) -> Any:
    """Functions are the only tools of the beta, so their type may be left out."""
    if not isinstance(value, list):
        return value
    return [_tool_to_ga(tool, f"{where}[{index}]") for index, tool in enumerate(value)]


def _tool_to_ga(tool: Any, where: str) -> Any:
    if not isinstance(tool, dict):
        return tool
    kind = tool.get("type", "function")
    if isinstance(kind, str) and kind != "function":
        raise unsupported(kind, f"{where}.type", ("function",))
    return {"type": "function", **tool}


def tools_to_beta(value: Any) -> Any:
    """The functions among them."""
    return [tool for tool in value if tool["type"] == "function"] if isinstance(value, list) else value


def tool_choice_to_ga(value: Any, where: str) -> Any:
    """A function is chosen by its bare name, or as in GA."""
    if isinstance(value, str) and value not in ("none", "auto", "required"):
        return {"type": "function", "name": value}
    return value


def tool_choice_to_beta(value: Any) -> Any:
    """Always a string, as the SDK's types have it: a function's name. Of other tools it is not told."""
    if not isinstance(value, dict):
        return value
    return value["name"] if value["type"] == "function" else "auto"


def voice_to_beta(value: Any) -> Any:
    """A custom voice is an object in GA."""
    return value.get("id") if isinstance(value, dict) else value


def temperature_to_ga(value: Any, where: str) -> None:
    """Checked as the beta did, and then left out: GA has none."""
    _check(value, _Temperature, where)


def temperature_to_beta(value: Any) -> Any:
    return TEMPERATURE


def client_secret_to_ga(value: Any, where: str) -> None:
    """Belongs to minting; a client that sends a session object back has null here."""
    if value is not None:
        raise unknown(where)


def max_tokens_to_ga(value: Any, where: str) -> Any:
    """Two names for one GA member: checked here, while it is known which one the client used."""
    _check(value, _MaxTokens, where)
    return value


def unsupported(value: str, where: str, supported: Any) -> ProtocolError:
    *first, last = [f"'{choice}'" for choice in supported]
    known = f"{', '.join(first) + ' and ' if first else ''}{last}"
    shown = value if len(value) <= 100 else value[:100] + "…"
    return invalid_value(f"Invalid value: '{shown}'. Supported values are: {known}.", where)


def _check(value: Any, kind: type[msgspec.Struct], where: str) -> None:
    """Whether ``value`` fits the one member of ``kind``."""
    try:
        msgspec.convert({"value": value}, kind)
    except msgspec.ValidationError as failure:
        error = translate(failure, kind)
        message = error.message.replace("for 'value'", f"for '{where}'", 1)
        raise ProtocolError(message, code=error.code, param=where) from None
