"""Our events as a beta client knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vivavoz.wire.beta.items import is_known, item_to_beta
from vivavoz.wire.beta.tables import RESPONSE, SERVER_EVENTS, SESSION, TRANSCRIPTION_SESSION, Member
from vivavoz.wire.beta.values import TEMPERATURE, format_to_beta, modalities_to_beta, voice_to_beta
from vivavoz.wire.codec import plain
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.translation import AnyServerEvent


def to_beta(event: AnyServerEvent, conversation_id: str) -> list[dict[str, Any]]:
    """What a beta client is sent for ``event``: nothing where the beta had no such event or item, and
    ``conversation.created`` after ``session.created``. Never a translation's: the beta had none."""
    members = plain(event)
    kind = members["type"]
    name = SERVER_EVENTS.get(kind)
    if name is None or ("item" in members and not is_known(members["item"])):
        return []
    members["type"] = name
    if (reshape := _SHAPES.get(kind)) is not None:
        reshape(members)
    if members["type"] != "session.created":
        return [members]
    return [members, _conversation_created(members["event_id"], conversation_id)]


def session_to_beta(session: dict[str, Any]) -> dict[str, Any]:
    """The flat session object."""
    flat = {name: session.get(name) for name in ("id", "object", "expires_at")}
    for member in TRANSCRIPTION_SESSION if _transcribes(session) else SESSION:
        flat[member.beta] = member.to_beta(_dig(session, member.ga))
    return flat


def response_to_beta(response: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in response.items():
        match name:
            case "output":
                flat["output"] = [item_to_beta(item) for item in value if is_known(item)]
            case "output_modalities":
                flat["modalities"] = modalities_to_beta(value)
            case "audio":
                flat["voice"] = voice_to_beta(_dig(value, ("output", "voice")))
                flat["output_audio_format"] = format_to_beta(_dig(value, ("output", "format")))
                flat["temperature"] = TEMPERATURE
            case _:
                flat[name] = value
    return flat


def error_to_beta(error: ProtocolError) -> ProtocolError:
    """The same error, its ``param`` (and the message that quotes it) as the client spelt it."""
    param = param_to_beta(error.param, error.code)
    if param is None or param == error.param:
        return error
    message = error.message.replace(f"'{error.param}'", f"'{param}'", 1)
    return ProtocolError(message, code=error.code, param=param, event_id=error.event_id, type=error.type)


def param_to_beta(param: str | None, code: str | None) -> str | None:
    """A path in a GA event as a path in the beta's."""
    if param is None:
        return None
    for ga, beta in _PATHS:
        rest = param.removeprefix(ga)
        if param.startswith(ga) and (not rest or rest[0] in ".["):
            # GA knows this member, so it was the beta's own table that refused it: under the client's name.
            own = not rest and code == "unknown_parameter"
            return param if own else beta + rest
    return param


def _paths(where: str, table: tuple[Member, ...]) -> Iterator[tuple[str, str]]:
    for member in table:
        if member.ga and member.ga != (member.beta,):
            yield f"{where}.{'.'.join(member.ga)}", f"{where}.{member.beta}"


_PATHS = (
    *_paths("session", SESSION),
    # Both of the beta's names for this one are checked before GA sees the value.
    *(path for path in _paths("response", RESPONSE) if path[0] != "response.max_output_tokens"),
)


def _transcribes(session: dict[str, Any]) -> bool:
    return session.get("type") == "transcription"


def _session(event: dict[str, Any]) -> None:
    if _transcribes(event["session"]):
        event["type"] = f"transcription_{event['type']}"
    event["session"] = session_to_beta(event["session"])


def _response(event: dict[str, Any]) -> None:
    event["response"] = response_to_beta(event["response"])


def _item(event: dict[str, Any]) -> None:
    event["item"] = item_to_beta(event["item"])


def _arguments_done(event: dict[str, Any]) -> None:
    event.pop("name", None)


def _error(event: dict[str, Any]) -> None:
    told = event["error"]
    error = error_to_beta(ProtocolError(told["message"], code=told["code"], param=told["param"]))
    event["error"] = {**told, "message": error.message, "param": error.param}


_SHAPES: dict[str, Callable[[dict[str, Any]], None]] = {
    "session.created": _session,
    "session.updated": _session,
    "conversation.item.added": _item,
    "conversation.item.created": _item,
    "conversation.item.retrieved": _item,
    "response.output_item.added": _item,
    "response.output_item.done": _item,
    "response.created": _response,
    "response.done": _response,
    "response.function_call_arguments.done": _arguments_done,
    "error": _error,
}


def _conversation_created(event_id: str, conversation_id: str) -> dict[str, Any]:
    return {
        "type": "conversation.created",
        # Follows from the other event's, so that a session that counts its ids still does.
        "event_id": f"{event_id}c",
        "conversation": {"id": conversation_id, "object": "realtime.conversation"},
    }


def _dig(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value
