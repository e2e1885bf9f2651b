"""What a beta client sends: as GA, or refused in the beta's words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import beta_oracle
from vivavoz.wire.base import tag_of
from vivavoz.wire.beta.incoming import to_ga
from vivavoz.wire.beta.items import item_to_beta, item_to_ga
from vivavoz.wire.beta.outgoing import session_to_beta
from vivavoz.wire.client_events import ClientEvent, ConversationItemCreate, ResponseCreate, SessionUpdate
from vivavoz.wire.codec import decode_client_event, plain
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import VOICES, session_object


def translated(event: Any) -> Any:
    return json.loads(to_ga(json.dumps(event)))


def refusal(event: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        to_ga(json.dumps(event))
    return error.value


def updated(session: dict[str, Any]) -> Any:
    return translated({"type": "session.update", "session": session})["session"]


def understood(event: Any) -> ClientEvent:
    return decode_client_event(to_ga(json.dumps(event)))


# ------------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize(
    ("beta", "ga"),
    [
        ({}, {}),
        ({"modalities": ["text", "audio"]}, {"output_modalities": ["audio"]}),
        ({"modalities": ["audio", "text"]}, {"output_modalities": ["audio"]}),
        ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
        ({"instructions": "Hi."}, {"instructions": "Hi."}),
        ({"model": "m"}, {"model": "m"}),
        ({"voice": "ash", "speed": 1.2}, {"audio": {"output": {"voice": "ash", "speed": 1.2}}}),
        (
            {"input_audio_format": "pcm16", "output_audio_format": "g711_ulaw"},
            {
                "audio": {
                    "input": {"format": {"type": "audio/pcm", "rate": 24000}},
                    "output": {"format": {"type": "audio/pcmu"}},
                }
            },
        ),
        ({"output_audio_format": "g711_alaw"}, {"audio": {"output": {"format": {"type": "audio/pcma"}}}}),
        (
            {"input_audio_transcription": {"model": "whisper-1"}},
            {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
        ),
        ({"input_audio_transcription": None}, {"audio": {"input": {"transcription": None}}}),
        (
            {"input_audio_noise_reduction": {"type": "far_field"}},
            {"audio": {"input": {"noise_reduction": {"type": "far_field"}}}},
        ),
        ({"turn_detection": None}, {"audio": {"input": {"turn_detection": None}}}),
        ({"turn_detection": {"type": "none"}}, {"audio": {"input": {"turn_detection": {"type": "none"}}}}),
        (
            {"turn_detection": {"threshold": 0.4, "eagerness": None}},
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.4}}}},
        ),
        (
            {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
        ),
        ({"max_response_output_tokens": 7}, {"max_output_tokens": 7}),
        ({"temperature": 0.7, "client_secret": None}, {}),
        ({"temperature": None}, {}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": "look"}, {"tool_choice": {"type": "function", "name": "look"}}),
        (
            {"tool_choice": {"type": "function", "name": "look"}},
            {"tool_choice": {"type": "function", "name": "look"}},
        ),
        ({"tools": [{"name": "look"}]}, {"tools": [{"type": "function", "name": "look"}]}),
        ({"tracing": {"workflow_name": "w"}}, {"tracing": {"workflow_name": "w"}}),
    ],
)
def test_a_flat_session_is_a_nested_one(beta: dict[str, Any], ga: dict[str, Any]) -> None:
    assert updated(beta) == {"type": "realtime", **ga}
    assert isinstance(understood({"type": "session.update", "session": beta}), SessionUpdate)


@pytest.mark.parametrize(
    "name", ["type", "output_modalities", "max_output_tokens", "audio", "truncation", "prompt", "id", "foo"]
)
def test_what_the_beta_does_not_know_is_refused_by_name(name: str) -> None:
    error = refusal({"type": "session.update", "event_id": "mine", "session": {name: "realtime"}})
    assert (error.code, error.param, error.event_id) == ("unknown_parameter", f"session.{name}", "mine")
    assert error.message == f"Unknown parameter: 'session.{name}'."


@pytest.mark.parametrize(
    ("session", "param", "code", "message"),
    [
        (
            {"modalities": ["audio"]},
            "session.modalities",
            "invalid_value",
            "Invalid modalities: ['audio']. Supported combinations are: ['text'] and ['audio', 'text'].",
        ),
        (
            {"input_audio_format": "opus"},
            "session.input_audio_format",
            "invalid_value",
            "Invalid value: 'opus'. Supported values are: 'g711_alaw', 'g711_ulaw' and 'pcm16'.",
        ),
        (
            {"output_audio_format": {"type": "audio/pcm"}},
            "session.output_audio_format",
            "invalid_type",
            "Invalid type for 'session.output_audio_format': expected a string, but got an object instead.",
        ),
        (
            {"temperature": "hot"},
            "session.temperature",
            "invalid_type",
            "Invalid type for 'session.temperature': expected a decimal number or null, but got a string "
            "instead.",
        ),
        (
            {"temperature": 2},
            "session.temperature",
            "invalid_value",
            "Invalid value for 'session.temperature': expected a decimal number <= 1.2.",
        ),
        (
            {"client_secret": {"expires_after": {"seconds": 60}}},
            "session.client_secret",
            "unknown_parameter",
            "Unknown parameter: 'session.client_secret'.",
        ),
        (
            {"turn_detection": {"idle_timeout_ms": 5000}},
            "session.turn_detection.idle_timeout_ms",
            "unknown_parameter",
            "Unknown parameter: 'session.turn_detection.idle_timeout_ms'.",
        ),
        (
            {"tools": [{"type": "mcp", "server_label": "x"}]},
            "session.tools[0].type",
            "invalid_value",
            "Invalid value: 'mcp'. Supported values are: 'function'.",
        ),
    ],
)
def test_values_are_refused_in_the_betas_words(
    session: dict[str, Any], param: str, code: str, message: str
) -> None:
    error = refusal({"type": "session.update", "session": session})
    assert (error.param, error.code) == (param, code)
    assert error.message == message


def test_a_name_without_end_is_not_repeated_at_length() -> None:
    error = refusal({"type": "session.update", "session": {"x" * 10_000: 1}})
    assert len(error.message) < 300
    assert error.param is not None
    assert len(error.param) < 300


# ------------------------------------------------------------------------------------- responses


def test_a_response_is_asked_for() -> None:
    response = {
        "conversation": "none",
        "input": [
            {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "a"}]},
            {"type": "item_reference", "id": "item_1"},
        ],
        "instructions": None,
        "modalities": ["text", "audio"],
        "voice": "ash",
        "output_audio_format": "g711_ulaw",
        "tools": [{"name": "look"}],
        "tool_choice": "look",
        "temperature": 0.8,
        "max_response_output_tokens": 9,
        "metadata": {"client_event_id": "x"},
    }
    event = {"type": "response.create", "event_id": "mine", "response": response}
    assert translated(event) == {
        "type": "response.create",
        "event_id": "mine",
        "response": {
            "conversation": "none",
            "input": [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
                {"type": "item_reference", "id": "item_1"},
            ],
            "output_modalities": ["audio"],
            "audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}},
            "tools": [{"type": "function", "name": "look"}],
            "tool_choice": {"type": "function", "name": "look"},
            "max_output_tokens": 9,
            "metadata": {"client_event_id": "x"},
        },
    }
    assert isinstance(understood(event), ResponseCreate)


@pytest.mark.parametrize("response", [None, {}, {"voice": None, "modalities": None, "temperature": None}])
def test_a_response_may_leave_everything_to_the_session(response: Any) -> None:
    assert translated({"type": "response.create", "response": response})["response"] in (None, {})


@pytest.mark.parametrize("name", ["max_response_output_tokens", "max_output_tokens"])
def test_both_names_of_the_token_limit_are_known_and_named_back(name: str) -> None:
    event = {"type": "response.create", "response": {name: 5}}
    assert translated(event)["response"] == {"max_output_tokens": 5}
    for value in (0, "many", 1.5, True):
        assert refusal({"type": "response.create", "response": {name: value}}).param == f"response.{name}"


def test_a_response_does_not_know_ga_names() -> None:
    error = refusal({"type": "response.create", "response": {"output_modalities": ["text"]}})
    assert (error.code, error.param) == ("unknown_parameter", "response.output_modalities")


# ------------------------------------------------------------------------------------- items


@pytest.mark.parametrize(
    ("role", "beta", "ga"),
    [
        ("system", "input_text", "input_text"),
        ("user", "input_text", "input_text"),
        ("user", "input_audio", "input_audio"),
        ("assistant", "text", "output_text"),
        ("assistant", "audio", "output_audio"),
    ],
)
def test_content_changes_its_name_with_its_side(role: str, beta: str, ga: str) -> None:
    item = {
        "type": "message",
        "object": "realtime.item",
        "role": role,
        "content": [{"type": beta, "audio" if beta.endswith("audio") else "text": "AAAA"}],
    }
    event = {"type": "conversation.item.create", "previous_item_id": "root", "item": item}
    assert translated(event)["item"]["content"][0]["type"] == ga
    assert isinstance(understood(event), ConversationItemCreate)


@pytest.mark.parametrize(
    ("role", "part", "supported"),
    [
        ("user", "text", "'input_text' and 'input_audio'"),
        ("user", "input_image", "'input_text' and 'input_audio'"),
        ("assistant", "output_text", "'text' and 'audio'"),
        ("assistant", "input_text", "'text' and 'audio'"),
        ("system", "input_audio", "'input_text'"),
        ("nobody", "output_audio", "'input_text', 'input_audio', 'text' and 'audio'"),
    ],
)
def test_content_of_another_side_or_protocol_is_refused(role: str, part: str, supported: str) -> None:
    item = {"type": "message", "role": role, "content": [{"type": "input_text"}, {"type": part}]}
    if role == "assistant":
        item["content"][0]["type"] = "text"  # type: ignore[index]
    error = refusal({"type": "conversation.item.create", "item": item})
    assert (error.code, error.param) == ("invalid_value", "item.content[1].type")
    assert error.message == f"Invalid value: '{part}'. Supported values are: {supported}."


def test_a_transcription_session_is_updated() -> None:
    session = {
        "input_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "pt"},
        "input_audio_noise_reduction": None,
        "turn_detection": {"silence_duration_ms": 300},
        "include": ["item.input_audio_transcription.logprobs"],
        "modalities": ["text", "audio"],
        "client_secret": None,
    }
    event = {"type": "transcription_session.update", "event_id": "mine", "session": session}
    assert translated(event) == {
        "type": "session.update",
        "event_id": "mine",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcma"},
                    "transcription": {"model": "whisper-1", "language": "pt"},
                    "noise_reduction": None,
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
                }
            },
            "include": ["item.input_audio_transcription.logprobs"],
        },
    }
    assert isinstance(understood(event), SessionUpdate)


@pytest.mark.parametrize("name", ["voice", "instructions", "model", "tools", "temperature", "type"])
def test_a_transcription_session_has_no_voice_and_no_model_of_its_own(name: str) -> None:
    error = refusal({"type": "transcription_session.update", "event_id": "mine", "session": {name: "x"}})
    assert (error.code, error.param, error.event_id) == ("unknown_parameter", f"session.{name}", "mine")


# ------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"type":3}',
        b'{"no":"type"}',
        b'{"type":"session.update","session":5}',
        b'{"type":"session.update"}',
        b'{"type":"conversation.item.create"}',
        b'{"type":"response.create","response":[]}',
        b'{"type":"session.updat"}',
        b'{"type":"session.update","session":' + b"[" * 100_000,
        "not json",
    ],
)
def test_what_is_no_event_is_refused_by_the_ga_decoder(data: bytes | str) -> None:
    with pytest.raises(ProtocolError):
        decode_client_event(to_ga(data))


def test_sound_passes_untouched() -> None:
    message = b'{"type":"input_audio_buffer.append","audio":"' + b"A" * 400_000 + b'"}'
    assert to_ga(message) is message


def test_every_client_event_of_the_sdk_is_known() -> None:
    samples: dict[str, dict[str, Any]] = {
        "session.update": {"session": {}},
        "transcription_session.update": {"session": {}},
        "conversation.item.create": {"item": {"type": "function_call_output", "call_id": "c", "output": ""}},
        "conversation.item.delete": {"item_id": "i"},
        "conversation.item.retrieve": {"item_id": "i"},
        "conversation.item.truncate": {"item_id": "i", "content_index": 0, "audio_end_ms": 5},
        "input_audio_buffer.append": {"audio": ""},
        "input_audio_buffer.commit": {},
        "input_audio_buffer.clear": {},
        "output_audio_buffer.clear": {},
        "response.create": {},
        "response.cancel": {},
    }
    assert samples.keys() == beta_oracle.CLIENT_EVENTS.keys()
    for kind, members in samples.items():
        event = understood({"type": kind, "event_id": "mine", **members})
        assert event.event_id == "mine"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from(
    [
        "modalities",
        "voice",
        "tools",
        "turn_detection",
        "input_audio_format",
        "temperature",
        "input",
        "content",
    ]
)


@given(
    kind=st.sampled_from(sorted(beta_oracle.CLIENT_EVENTS)),
    session=st.dictionaries(_names, json_values, max_size=4) | json_values,
    item=st.fixed_dictionaries({"type": st.just("message"), "role": json_values, "content": json_values}),
)
def test_nothing_but_a_protocol_error_is_raised(kind: str, session: Any, item: Any) -> None:
    event = {"type": kind, "session": session, "response": session, "item": item}
    try:
        taken: ClientEvent | None = decode_client_event(to_ga(json.dumps(event)))
    except ProtocolError:
        taken = None
    assert taken is None or tag_of(type(taken)) == kind.replace("transcription_session", "session")


# ------------------------------------------------------------------------------------- there and back

_turn_detections = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={
            "threshold": st.floats(0, 1),
            "prefix_padding_ms": st.integers(0, 5000),
            "silence_duration_ms": st.integers(0, 5000),
            "create_response": st.booleans(),
            "interrupt_response": st.booleans(),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.just("semantic_vad")},
        optional={"eagerness": st.sampled_from(["low", "medium", "high", "auto"])},
    ),
)
_sessions = st.fixed_dictionaries(
    {},
    optional={
        "modalities": st.sampled_from([["audio", "text"], ["text"]]),
        "instructions": st.text(min_size=1),
        "voice": st.sampled_from(VOICES),
        "speed": st.floats(0.25, 1.5),
        "input_audio_format": st.sampled_from(["pcm16", "g711_ulaw", "g711_alaw"]),
        "output_audio_format": st.sampled_from(["pcm16", "g711_ulaw", "g711_alaw"]),
        "input_audio_transcription": st.none()
        | st.fixed_dictionaries({"model": st.text(), "language": st.none() | st.text(), "prompt": st.none()}),
        "input_audio_noise_reduction": st.none()
        | st.fixed_dictionaries({"type": st.sampled_from(["near_field", "far_field"])}),
        "turn_detection": _turn_detections,
        "max_response_output_tokens": st.just("inf") | st.integers(1, 4096),
        "tools": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.just("function"),
                    "name": st.text(min_size=1, max_size=9),
                    "description": st.none() | st.text(),
                    "parameters": st.none() | st.just({"type": "object"}),
                }
            ),
            unique_by=lambda tool: tool["name"],
            max_size=3,
        ),
        "tool_choice": st.sampled_from(["none", "auto", "required"]),
        "tracing": st.none() | st.just("auto") | st.just({"workflow_name": "w"}),
        "temperature": st.just(0.8),
    },
)


@given(_sessions)
def test_a_session_that_was_set_is_told_as_it_was_set(session: dict[str, Any]) -> None:
    event = understood({"type": "session.update", "session": session})
    assert isinstance(event, SessionUpdate)
    told = session_to_beta(plain(session_object(effective_session(event.session, "m"), "sess_1", 1)))
    for name, value in session.items():
        if name == "turn_detection" and value is not None:
            assert told[name] | value == told[name]
        else:
            assert told[name] == value


_texts = st.text(max_size=20)
_items = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.just("user"),
            "content": st.lists(
                st.fixed_dictionaries({"type": st.just("input_text"), "text": _texts})
                | st.fixed_dictionaries({"type": st.just("input_audio"), "transcript": _texts})
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.just("assistant"),
            "content": st.lists(
                st.fixed_dictionaries({"type": st.just("text"), "text": _texts})
                | st.fixed_dictionaries({"type": st.just("audio"), "transcript": _texts})
            ),
        }
    ),
    st.fixed_dictionaries({"type": st.just("function_call"), "name": _texts, "arguments": _texts}),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": _texts, "output": _texts}),
)


@given(_items, st.text(min_size=1, max_size=9))
def test_an_item_comes_back_as_it_was_sent(item: dict[str, Any], item_id: str) -> None:
    sent = {"id": item_id, "object": "realtime.item", **item}
    ga = item_to_ga(sent, "item")
    event = decode_client_event(msgspec.json.encode({"type": "conversation.item.create", "item": ga}))
    assert isinstance(event, ConversationItemCreate)
    assert item_to_beta(plain(event.item)) == sent
