"""Client events: what is one decodes, and what is not is refused with its place, at any depth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.oracle import CLIENT_EVENTS
from tests.wire.events import EVENTS
from vivavoz.wire.client_events import ClientEvent, SessionUpdate
from vivavoz.wire.codec import decode_client_event, encode, pack, unpack
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.merging import merge
from vivavoz.wire.options import SessionOptions, session_object
from vivavoz.wire.tools import MAX_DEPTH

Step = str | int
FREE_FORM = (
    "session.tools[0].parameters",
    "session.tools[1].parameters",
    "response.tools[0].parameters",
    "session.tracing.metadata",
)
MAPPING = "response.metadata"


def title(event: dict[str, Any]) -> str:
    return str(event["type"])


def places(node: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every member and element below ``node``."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, value in inner:
        yield (*path, step)
        yield from places(value, (*path, step))


def written(path: tuple[Step, ...]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")


def at(node: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        node = node[step]
    return node


def changed(event: dict[str, Any], path: tuple[Step, ...], value: Any) -> dict[str, Any]:
    event = json.loads(json.dumps(event))
    at(event, path[:-1])[path[-1]] = value
    return event


def refusal(event: dict[str, Any]) -> ProtocolError:
    with pytest.raises(ProtocolError) as refused:
        decode_client_event(json.dumps(event))
    return refused.value


def param_of(path: tuple[Step, ...]) -> str:
    """Where a mistake at ``path`` is said to be: the decoder names a mapping, not its key."""
    text = written(path)
    return MAPPING if text.startswith(f"{MAPPING}.") else text


WRONG: dict[type, list[Any]] = {
    str: [7, True, {}, []],
    int: ["x", {}, [], 1.5],
    float: ["x", {}, [], True],
    bool: ["x", 7, {}, []],
    dict: ["x", 7, []],
    list: ["x", 7, {}],
}
ALSO_RIGHT = {
    "session.audio.output.voice": (str,),
    "session.tool_choice": (str,),
    "session.tracing": (str,),
    "session.truncation": (str,),
    "session.max_output_tokens": (str,),
    "response.max_output_tokens": (int,),
    "response.tool_choice": (dict,),
    "response.audio.output.voice": (dict,),
}
"""Members that take another type too; a wrong value of that type is another mistake."""


@pytest.mark.parametrize("event", EVENTS, ids=title)
def test_a_valid_event_decodes_and_encodes_to_itself(event: dict[str, Any]) -> None:
    decoded = decode_client_event(json.dumps(event))
    again = json.loads(encode(decoded))
    assert msgspec.json.decode(json.dumps(again), type=ClientEvent) == decoded


@pytest.mark.parametrize("event", EVENTS, ids=title)
def test_a_wrong_type_is_refused_with_its_place(event: dict[str, Any]) -> None:
    for path in places(event):
        where, value = written(path), at(event, path)
        if where.startswith(FREE_FORM):
            continue
        for wrong in WRONG[type(value)]:
            if isinstance(wrong, ALSO_RIGHT.get(where, ())):
                continue
            error = refusal(changed(event, path, wrong))
            assert error.param == param_of(path), (wrong, error.message)
            assert error.code in ("invalid_type", "invalid_value")
            assert error.type == "invalid_request_error"
            assert f"'{error.param}'" in error.message
            assert error.event_id == ("e1" if where != "event_id" else None)


@pytest.mark.parametrize("event", EVENTS, ids=title)
def test_a_value_that_is_not_one_of_the_choices_is_refused_with_them(event: dict[str, Any]) -> None:
    for path in places(event):
        if path[-1] not in ("type", "role", "status", "detail", "eagerness", "conversation", "object"):
            continue
        if written(path).startswith(FREE_FORM):
            continue
        error = refusal(changed(event, path, "nonsense"))
        assert (error.code, error.param) == ("invalid_value", written(path))
        assert error.message.startswith("Invalid value: 'nonsense'. Supported values are: '")
        assert error.event_id == "e1"


@pytest.mark.parametrize("event", EVENTS, ids=title)
def test_an_unknown_member_is_refused_by_name(event: dict[str, Any]) -> None:
    for path in ((), *places(event)):
        where = written(path)
        if not isinstance(at(event, path), dict) or where.startswith((*FREE_FORM, MAPPING)):
            continue
        error = refusal(changed(event, (*path, "foo"), 1))
        param = written((*path, "foo"))
        assert (error.code, error.param) == ("unknown_parameter", param)
        assert error.message == f"Unknown parameter: '{param}'."
        assert error.event_id == "e1"


REQUIRED = {
    "session.update": ["session", "session.type"],
    "input_audio_buffer.append": ["audio"],
    "conversation.item.create": ["item", "item.type", "item.role", "item.content", "item.content[1].type"],
    "conversation.item.retrieve": ["item_id"],
    "conversation.item.truncate": ["item_id", "content_index", "audio_end_ms"],
    "conversation.item.delete": ["item_id"],
    "response.create": ["response.input[0].role", "response.input[3].id", "response.tools[0].name"],
}


@pytest.mark.parametrize(("kind", "param"), [(kind, param) for kind in REQUIRED for param in REQUIRED[kind]])
def test_a_missing_member_is_named(kind: str, param: str) -> None:
    event = json.loads(json.dumps(next(event for event in EVENTS if event["type"] == kind)))
    path = next(path for path in places(event) if written(path) == param)
    del at(event, path[:-1])[path[-1]]
    error = refusal(event)
    assert (error.code, error.param, error.event_id) == ("missing_required_parameter", param, "e1")
    assert error.message == f"Missing required parameter: '{param}'."


def test_an_event_without_a_type_has_a_code_of_its_own() -> None:
    error = refusal({"event_id": "e1"})
    assert (error.code, error.message) == ("invalid_event", "The 'type' field is missing.")


def test_every_client_event_of_the_sdk_is_one_of_ours() -> None:
    assert {event["type"] for event in EVENTS} == set(CLIENT_EVENTS)


# ------------------------------------------------------------------------------------- anything at all


def taken(message: bytes | str) -> ClientEvent | None:
    """The event, or None where it was refused; anything else raises."""
    try:
        return decode_client_event(message)
    except ProtocolError:
        return None


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["message", "function", "audio/pcm", "server_vad", "root", "inf", "\ud800", "AA=="]),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
quick = settings(max_examples=300, deadline=None, derandomize=True)


@quick
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_protocol_error(message: bytes) -> None:
    taken(message)


@quick
@given(values)
def test_no_json_raises_anything_but_a_protocol_error(value: Any) -> None:
    taken(json.dumps(value))


@quick
@given(st.sampled_from(EVENTS), st.data())
def test_no_event_with_anything_in_it_raises_anything_but_a_protocol_error(
    event: dict[str, Any], data: st.DataObject
) -> None:
    """And where it is taken, it can be kept, passed on and sent back."""
    where = data.draw(st.sampled_from([path for path in places(event) if path != ("type",)]))
    decoded = taken(json.dumps(changed(event, where, data.draw(values))))
    if decoded is None:
        return
    assert unpack(pack(decoded), ClientEvent) == decoded
    if isinstance(decoded, SessionUpdate):
        try:
            options = merge(SessionOptions(), decoded.session)
        except ProtocolError:
            return
        encode(session_object(options, "sess_1", 0))


@quick
@given(st.sampled_from(EVENTS), st.integers(0, 2_000))
def test_a_truncated_event_is_no_event(event: dict[str, Any], length: int) -> None:
    text = json.dumps(event)
    assert taken(text[: min(length, len(text) - 1)]) is None


def _nested(depth: int) -> dict[str, Any]:
    return {"a": _nested(depth - 1)} if depth else {}


def test_free_form_json_is_bounded() -> None:
    def update(parameters: Any) -> dict[str, Any]:
        tool = {"type": "function", "name": "f", "parameters": parameters}
        return {"event_id": "e1", "type": "session.update", "session": {"type": "realtime", "tools": [tool]}}

    decode_client_event(json.dumps(update(_nested(MAX_DEPTH - 1))))
    for endless in (_nested(MAX_DEPTH), {"maximum": 2**63}, {"minimum": [-(2**64)]}):
        error = refusal(update(endless))
        assert (error.code, error.param) == ("invalid_value", "session.tools[0]")


def test_json_without_end_is_refused() -> None:
    assert taken("[" * 100_000) is None
    assert taken('{"type":' * 100_000) is None
