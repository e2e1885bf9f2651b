"""What a beta client is sent: every event that any scenario makes, and the shapes one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from openai.types.realtime import RealtimeServerEvent as GaServerEvent

from tests.scenarios.playbook import Player, scenarios
from tests.wire import beta_oracle
from vivavoz.session.effects import Send
from vivavoz.wire.base import tag_of
from vivavoz.wire.beta.items import is_known, item_to_beta
from vivavoz.wire.beta.outgoing import error_to_beta, response_to_beta, session_to_beta, to_beta
from vivavoz.wire.beta.tables import SERVER_EVENTS
from vivavoz.wire.codec import decode, plain
from vivavoz.wire.errors import ProtocolError
from vivavoz.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)
from vivavoz.wire.merging import effective_session
from vivavoz.wire.options import SessionPatch, session_object
from vivavoz.wire.rest import decode_session
from vivavoz.wire.server_events import (
    WEBRTC_FILTER,
    ConversationItemAdded,
    ConversationItemDone,
    Error,
    ErrorEvent,
    FunctionCallArgumentsDone,
    OutputAudioDelta,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
)


def sent(event: ServerEvent) -> list[dict[str, Any]]:
    return [beta_oracle.check(msgspec.json.encode(message)) for message in to_beta(event, "conv_1")]


def told(event: ServerEvent) -> dict[str, Any]:
    [message] = sent(event)
    return message


def patch(members: dict[str, Any]) -> SessionPatch:
    return decode(json.dumps({"type": "realtime", **members}), SessionPatch)


# ------------------------------------------------------------------------------------- everything


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_every_event_of_every_scenario_fits_the_sdks_beta_types(path: Path) -> None:
    events = [e.event for step in Player(path).play() for e in step.effects if isinstance(e, Send)]
    for event in events:
        for message in to_beta(event, "conv_1"):
            beta_oracle.check(msgspec.json.encode(message))


def test_the_table_names_every_event_of_ours_and_of_the_ga_sdk() -> None:
    ours = {tag_of(kind) for kind in get_args(ServerEvent)}
    official = {
        get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(GaServerEvent)[0])
    }
    assert ours <= set(SERVER_EVENTS)
    assert official == set(SERVER_EVENTS), "decide what the beta makes of a new event"


def test_every_name_it_gives_is_one_of_the_beta_sdks() -> None:
    given = {name for name in SERVER_EVENTS.values() if name is not None}
    assert given <= set(beta_oracle.SERVER_EVENTS)
    assert set(beta_oracle.SERVER_EVENTS) - given == {"transcription_session.updated"}


def test_no_event_that_the_beta_lacks_is_sent() -> None:
    lacking = {ga for ga, beta in SERVER_EVENTS.items() if beta is None}
    assert lacking.isdisjoint(beta_oracle.SERVER_EVENTS)


def test_what_passes_the_browsers_filter_passes_in_the_beta_too() -> None:
    assert {SERVER_EVENTS[name] for name in WEBRTC_FILTER} == {
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.created",
        "response.text.delta",
        "response.text.done",
        "response.audio_transcript.delta",
        "response.audio_transcript.done",
    }


# ------------------------------------------------------------------------------------- sessions


def test_a_session_begins_with_two_events() -> None:
    session = session_object(effective_session(None, "gpt-realtime"), "sess_1", 1_800_000_000)
    created, conversation = sent(SessionCreated(event_id="event_1", session=session))
    assert created["session"] == {
        "id": "sess_1",
        "object": "realtime.session",
        "expires_at": 1_800_000_000,
        "input_audio_noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "create_response": True,
            "interrupt_response": True,
        },
        "input_audio_format": "pcm16",
        "input_audio_transcription": None,
        "client_secret": None,
        "model": "gpt-realtime",
        "modalities": ["audio", "text"],
        "instructions": session.instructions,
        "voice": "alloy",
        "output_audio_format": "pcm16",
        "tool_choice": "auto",
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "speed": 1.0,
        "tracing": None,
        "tools": [],
    }
    assert conversation == {
        "type": "conversation.created",
        "event_id": conversation["event_id"],
        "conversation": {"id": "conv_1", "object": "realtime.conversation"},
    }
    assert conversation["event_id"] != created["event_id"]


def test_an_update_is_answered_by_one_event_with_everything_flat() -> None:
    options = effective_session(
        patch(
            {
                "output_modalities": ["text"],
                "max_output_tokens": 100,
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcmu"},
                        "transcription": {"model": "whisper-1", "language": "pt"},
                        "noise_reduction": {"type": "near_field"},
                        "turn_detection": None,
                    },
                    "output": {"format": {"type": "audio/pcma"}, "voice": "sage", "speed": 1.25},
                },
                "tools": [{"type": "function", "name": "look"}],
                "tool_choice": {"type": "function", "name": "look"},
                "tracing": "auto",
            }
        ),
        "gpt-realtime",
    )
    flat = told(SessionUpdated(event_id="event_1", session=session_object(options, "sess_1", 1)))["session"]
    assert flat["modalities"] == ["text"]
    assert flat["max_response_output_tokens"] == 100
    assert (flat["input_audio_format"], flat["output_audio_format"]) == ("g711_ulaw", "g711_alaw")
    assert flat["input_audio_transcription"] == {"model": "whisper-1", "language": "pt", "prompt": None}
    assert flat["input_audio_noise_reduction"] == {"type": "near_field"}
    assert flat["turn_detection"] is None
    assert (flat["voice"], flat["speed"]) == ("sage", 1.25)
    assert flat["tool_choice"] == "look"
    assert flat["tracing"] == "auto"
    assert flat["tools"] == [{"type": "function", "name": "look", "description": None, "parameters": None}]
    assert not flat.keys() & {"type", "audio", "output_modalities", "max_output_tokens", "truncation"}


def test_a_session_that_only_transcribes_has_events_of_its_own() -> None:
    asked = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    options = effective_session(decode_session(json.dumps(asked)), "m")
    session = session_object(options, "sess_1", 5)
    created = told(SessionCreated(event_id="event_1", session=session))
    assert created["type"] == "transcription_session.created"
    assert created["session"] == {
        "id": "sess_1",
        "object": "realtime.transcription_session",
        "expires_at": 5,
        "input_audio_noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "create_response": False,
            "interrupt_response": False,
        },
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1", "language": None, "prompt": None},
        "client_secret": None,
        "include": None,
        "modalities": ["audio", "text"],
    }
    updated = told(SessionUpdated(event_id="event_2", session=session))
    assert updated["type"] == "transcription_session.updated"
    assert updated["session"] == created["session"]


def test_a_custom_voice_is_told_by_its_id() -> None:
    options = effective_session(patch({"audio": {"output": {"voice": {"id": "voice_7"}}}}), "m")
    assert session_to_beta(plain(session_object(options, "sess_1", 1)))["voice"] == "voice_7"


# ------------------------------------------------------------------------------------- items, deltas


@pytest.mark.parametrize(
    ("item", "content"),
    [
        (
            Message(id="i", role="user", content=[InputText(text="a"), InputAudio(transcript="b")]),
            [{"type": "input_text", "text": "a"}, {"type": "input_audio", "transcript": "b"}],
        ),
        (
            Message(id="i", role="assistant", content=[OutputText(text="a"), OutputAudio(transcript="b")]),
            [{"type": "text", "text": "a"}, {"type": "audio", "transcript": "b"}],
        ),
        (FunctionCall(id="i", call_id="c", name="f", arguments="{}", status="completed"), None),
        (FunctionCallOutput(id="i", call_id="c", output="1"), None),
    ],
)
def test_an_item_is_created_once(item: Item, content: Any) -> None:
    added = told(ConversationItemAdded(event_id="event_1", previous_item_id="root", item=item))
    assert added["type"] == "conversation.item.created"
    assert added["previous_item_id"] == "root"
    assert added["item"]["object"] == "realtime.item"
    assert added["item"].get("content") == content
    assert sent(ConversationItemDone(event_id="event_2", previous_item_id="root", item=item)) == []


def test_images_are_left_out_and_so_are_items_of_kinds_the_beta_never_had() -> None:
    image = {"type": "input_image", "image_url": "data:,"}
    kept = item_to_beta({"type": "message", "content": [image, {"type": "input_text", "text": "a"}]})
    assert kept["content"] == [{"type": "input_text", "text": "a"}]
    assert not is_known({"type": "mcp_list_tools"})
    response = {"output": [{"type": "mcp_call", "id": "i"}, {"type": "function_call", "id": "j"}]}
    assert [item["id"] for item in response_to_beta(response)["output"]] == ["j"]


def test_other_tools_than_functions_are_not_told_of() -> None:
    session = {
        "tools": [{"type": "mcp", "server_label": "x"}, {"type": "function", "name": "look"}],
        "tool_choice": {"type": "mcp", "server_label": "x"},
    }
    flat = session_to_beta(session)
    assert flat["tools"] == [{"type": "function", "name": "look"}]
    assert flat["tool_choice"] == "auto"


def test_sound_travels_as_base64() -> None:
    delta = OutputAudioDelta(
        event_id="e", response_id="r", item_id="i", output_index=0, content_index=0, delta=b"\x01\x02"
    )
    assert told(delta) | {"type": "response.audio.delta", "delta": "AQI="} == told(delta)


def test_the_arguments_of_a_call_are_told_without_its_name() -> None:
    done = FunctionCallArgumentsDone(
        event_id="e", response_id="r", item_id="i", output_index=0, call_id="c", name="look", arguments="{}"
    )
    assert "name" not in told(done)


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("ga", "beta"),
    [
        ("session.audio.output.voice", "session.voice"),
        ("session.audio.output.speed", "session.speed"),
        ("session.audio.input.format", "session.input_audio_format"),
        ("session.audio.input.transcription.model", "session.input_audio_transcription.model"),
        ("session.audio.input.noise_reduction.type", "session.input_audio_noise_reduction.type"),
        ("session.audio.input.turn_detection.threshold", "session.turn_detection.threshold"),
        ("session.output_modalities", "session.modalities"),
        ("session.max_output_tokens", "session.max_response_output_tokens"),
        ("session.tools[0].name", "session.tools[0].name"),
        ("session", "session"),
        ("response.audio.output.voice", "response.voice"),
        ("response.output_modalities", "response.modalities"),
        ("response.max_output_tokens", "response.max_output_tokens"),
        ("item.content[0].text", "item.content[0].text"),
        ("audio", "audio"),
        (None, None),
    ],
)
def test_an_error_names_the_member_as_the_client_did(ga: str | None, beta: str | None) -> None:
    error = Error(
        type="invalid_request_error", code="invalid_value", message=f"Bad '{ga}'.", param=ga, event_id="mine"
    )
    shown = told(ErrorEvent(event_id="event_1", error=error))["error"]
    assert shown == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": f"Bad '{beta}'.",
        "param": beta,
        "event_id": "mine",
    }


@pytest.mark.parametrize("param", ["session.max_output_tokens", "session.output_modalities", "session.type"])
def test_a_ga_name_that_a_beta_client_used_is_refused_under_that_name(param: str) -> None:
    refusal = ProtocolError(f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)
    assert error_to_beta(refusal) is refusal


def test_an_unknown_member_inside_a_renamed_one_is_found_again() -> None:
    refusal = ProtocolError(
        "Unknown parameter: 'session.audio.input.turn_detection.foo'.",
        code="unknown_parameter",
        param="session.audio.input.turn_detection.foo",
    )
    shown = error_to_beta(refusal)
    assert shown.param == "session.turn_detection.foo"
    assert shown.message == "Unknown parameter: 'session.turn_detection.foo'."
