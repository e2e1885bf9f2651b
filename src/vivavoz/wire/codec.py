"""Bytes to events and back, and every decoding failure as the protocol's own error.

The decoder is msgspec's; this module turns its messages (`Expected `int`, got `str` - at `$.item``) into the
codes, texts and ``param`` paths that clients of the hosted services know.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.errors import ProtocolError, invalid_value, missing, unknown
from vivavoz.wire.server_events import ServerEvent

_T = TypeVar("_T")

_KINDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
    "bytes": "a string",
}
_EXPECTED = re.compile(r"Expected (?P<expected>.+?), got `(?P<got>\w+)`$")
_EXPECTED_ONLY = re.compile(r"Expected `(?P<expected>\w+)`$")
_LIMIT = re.compile(r"Expected `(?P<kind>\w+)` (?P<limit>(?:of length )?[<>=]+ .+)$")
_FIELD = re.compile(r"`(?P<name>[^`]+)`$")
_VALUE = re.compile(r"(?:'(?P<text>.*)'|(?P<number>-?\d+))$", re.DOTALL)


class _AnyEvent(msgspec.Struct):
    event_id: Any = None


_client_event: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)
_encoder = msgspec.json.Encoder()
_any_event = msgspec.json.Decoder(_AnyEvent)


def decode_client_event(data: str | bytes) -> ClientEvent:
    """One client event.

    Raises :class:`ProtocolError` with the code, the ``param`` path and the offending event's ``event_id``
    (where it has a usable one).
    """
    return decode_event(data, _client_event, ClientEvent)


def decode_event(data: str | bytes, decoder: msgspec.json.Decoder[_T], union: Any) -> _T:
    """One client event of the union that ``decoder`` knows, with the same errors."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as failure:
        error = translate(failure, union)
        if error.code == "missing_required_parameter" and error.param == "type":
            error = ProtocolError("The 'type' field is missing.", code="invalid_event", param="type")
        error.event_id = _salvage_event_id(data)
        raise error from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as failure:
        raise _malformed(failure) from None


@functools.cache
def _server_event() -> msgspec.json.Decoder[ServerEvent]:
    return msgspec.json.Decoder(ServerEvent)


def decode_server_event(data: bytes) -> ServerEvent:
    """An event as we have sent it. Raises ``ValueError`` for anything else."""
    return _server_event().decode(data)


def decode(data: str | bytes, type_: type[_T]) -> _T:
    """Any other wire object, with the same errors."""
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as failure:
        raise translate(failure, type_) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as failure:
        raise _malformed(failure) from None


def encode(event: ServerEvent | msgspec.Struct) -> bytes:
    """JSON of one event or object; ``bytes`` members become base64, absent members are left out."""
    return _encoder.encode(event)


def plain(value: msgspec.Struct) -> dict[str, Any]:
    """One wire object as plain dictionaries and lists, absent members left out."""
    built = msgspec.to_builtins(value)
    assert isinstance(built, dict)
    return built


def is_json(text: str) -> bool:
    """Whether ``text`` is one JSON value, whole."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def pack(value: Any) -> bytes:
    """A compact binary form of the session's own state and of traces (MessagePack)."""
    return msgspec.msgpack.encode(value)


def unpack(data: bytes, type_: type[_T]) -> _T:
    """The inverse of :func:`pack`. Raises ``ValueError`` where ``data`` is not such a value."""
    return msgspec.msgpack.decode(data, type=type_)


# --------------------------------------------------------------------------------- errors


def translate(failure: msgspec.ValidationError, root: Any) -> ProtocolError:
    """msgspec's complaint in the protocol's words. ``root`` is the type that was decoded."""
    text, _, where = str(failure).partition(" - at ")
    path = _path(where)

    if text.startswith("Object missing required field"):
        return missing(_join(path, _named(text)))
    if text.startswith("Object contains unknown field"):
        return unknown(_join(path, _named(text)))
    if text.startswith(("Invalid enum value", "Invalid value")):
        return _unsupported_value(text, path, root)
    if text.startswith("Invalid base64"):
        return invalid_value(f"Invalid '{path}'. Expected base64-encoded audio bytes.", path)
    if expected := _EXPECTED.match(text):
        return _wrong_type(path, expected["expected"], expected["got"])
    if expected := _EXPECTED_ONLY.match(text):
        return _wrong_type(path, expected["expected"], None)
    if limit := _LIMIT.match(text):
        wanted = f"{_KINDS.get(limit['kind'], limit['kind'])} {limit['limit']}"
        return invalid_value(f"Invalid value for '{path}': expected {wanted}.", path)
    detail = text[:1].lower() + text[1:]
    return invalid_value(f"Invalid value for '{path}': {detail.replace('`', '')}.", path)


def _wrong_type(path: str, expected: str, got: str | None) -> ProtocolError:
    wanted = " or ".join(
        dict.fromkeys(_KINDS.get(kind.strip(" `"), kind.strip(" `")) for kind in expected.split("|"))
    )
    if wanted == "null":
        return invalid_value(f"Invalid value for '{path}': only null is supported.", path)
    instead = f", but got {_KINDS.get(got, got)} instead" if got else ""
    where = f"'{path}'" if path else "the event"
    return ProtocolError(
        f"Invalid type for {where}: expected {wanted}{instead}.",
        code="invalid_type",
        param=path or None,
    )


def _unsupported_value(text: str, path: str, root: Any) -> ProtocolError:
    match = _VALUE.search(text)
    value = (match["text"] or match["number"] or "") if match else ""
    if len(value) > 100:
        value = value[:100] + "…"
    message = f"Invalid value: '{value}'."
    supported = sorted({str(choice) for choice in _choices(root, path)})
    if supported:
        *first, last = [f"'{choice}'" for choice in supported]
        message += f" Supported values are: {', '.join(first) + ' and ' if first else ''}{last}."
    return invalid_value(message, path)


def _malformed(failure: Exception) -> ProtocolError:
    reason = str(failure).removeprefix("JSON is malformed: ") or type(failure).__name__
    return ProtocolError(f"We could not parse the JSON of your message: {reason}.", code="invalid_json")


def _salvage_event_id(data: str | bytes) -> str | None:
    try:
        found = _any_event.decode(data).event_id
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if isinstance(found, str) and len(found) <= 512 else None


def _path(where: str) -> str:
    """``$.item.content[0]``; a complaint about a mapping's key or value names the mapping."""
    where = where.removeprefix("`key` in ")
    return where.strip("`").removeprefix("$").removeprefix(".").replace("[...]", "")


def _named(text: str) -> str:
    match = _FIELD.search(text)
    return match["name"] if match else ""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _choices(root: Any, path: str) -> Iterator[Any]:
    """The literal values that are legal at ``path``, read off the types themselves."""
    nodes = [_description(root)]
    steps = re.sub(r"\[\d*\]", ".[]", path).strip(".").split(".")
    for step in steps[:-1]:
        nodes = [inner for node in nodes for inner in _children(node, step)]
    last = steps[-1]
    for node in nodes:
        for option in _alternatives(node):
            if isinstance(option, msgspec.inspect.StructType) and option.tag_field == last:
                yield option.tag
        for inner in _children(node, last):
            for option in _alternatives(inner):
                if isinstance(option, msgspec.inspect.LiteralType):
                    yield from option.values


@functools.cache
def _description(root: Any) -> Any:
    """Kept: to look through all events takes milliseconds, in which nobody's sound goes on."""
    return msgspec.inspect.type_info(root)


def _children(node: Any, step: str) -> Iterator[Any]:
    for option in _alternatives(node):
        if isinstance(option, msgspec.inspect.StructType):
            yield from (field.type for field in option.fields if field.encode_name == step)
        elif isinstance(option, msgspec.inspect.ListType) and step == "[]":
            yield option.item_type
        elif isinstance(option, msgspec.inspect.DictType):
            yield option.value_type


def _alternatives(node: Any) -> Iterator[Any]:
    if isinstance(node, msgspec.inspect.UnionType):
        for option in node.types:
            yield from _alternatives(option)
    elif isinstance(node, msgspec.inspect.Metadata):
        yield from _alternatives(node.type)
    else:
        yield node
