"""A call's state, folded from events: recorded ones, made-up ones, and any."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.observer.calls import info
from tests.recordings.replay import Recording
from tests.recordings.test_recorded_traffic import PATHS, REASON, ids
from vivavoz.app.observer import state, toolcalls, transcript, turns
from vivavoz.app.observer.ports import CallState
from vivavoz.app.observer.state import CallFold

TRANSCRIPTION = "conversation.item.input_audio_transcription."


def fold(*events: dict[str, Any], step_s: float = 0.1, **options: Any) -> CallFold:
    """The events, each ``step_s`` after the other, from 1000.0 on."""
    call = CallFold(info(), **options)
    for n, event in enumerate(events):
        call.apply(1000 + n * step_s, event)
    call.summarize()
    return call


def message(item_id: str, role: str, *parts: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": list(parts)}


def added(item: dict[str, Any], previous: str | None, *, done: bool = False) -> dict[str, Any]:
    kind = "done" if done else "added"
    return {"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": item}


def of_response(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response_id": "resp_1", **members}


SPOKEN = {"type": "input_audio", "transcript": None}
CREATED = {"type": "response.created", "response": {"id": "resp_1", "conversation_id": "conv_1"}}


def done(status: str = "completed", **members: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "conversation_id": "conv_1", "status": status, "output": [], **members}
    return {"type": "response.done", "response": response}


ANSWER = [
    CREATED,
    of_response("output_item.added", item=message("item_b", "assistant", status="in_progress")),
    added(message("item_b", "assistant", status="in_progress"), "item_a"),
    of_response("output_audio_transcript.delta", item_id="item_b", content_index=0, delta="It is "),
    {"type": "output_audio_buffer.started", "response_id": "resp_1"},
    of_response("output_audio_transcript.delta", item_id="item_b", content_index=0, delta="noon now."),
]
TURN = [
    {"type": "input_audio_buffer.speech_started", "item_id": "item_a", "audio_start_ms": 100},
    {"type": "input_audio_buffer.speech_stopped", "item_id": "item_a", "audio_end_ms": 900},
    {"type": "input_audio_buffer.committed", "item_id": "item_a", "previous_item_id": None},
    added(message("item_a", "user", SPOKEN), None),
    *ANSWER,
]


@pytest.mark.skipif(not PATHS, reason=REASON)
@pytest.mark.parametrize("path", PATHS, ids=ids)
def test_recorded_calls_are_told_whole(path: Any) -> None:
    """Every item with its words, in the order of the conversation, and every token of the usage."""
    events = Recording(path).received
    told = fold(*events).state
    placed = [event["item"]["id"] for event in events if event["type"] == "conversation.item.added"]
    assert [line.item_id for line in told.transcript] == placed
    words = {
        event["item_id"]: event["transcript"]
        for event in events
        if event["type"] in ("response.output_audio_transcript.done", f"{TRANSCRIPTION}completed")
    }
    assert {line.item_id: line.text for line in told.transcript if line.item_id in words} == words
    finished = [event["response"] for event in events if event["type"] == "response.done"]
    assert told.usage.total_tokens == sum(response["usage"]["total_tokens"] for response in finished)
    assert told.usage.responses == told.turns == len(finished)
    assert all(turn.marks.done_ms is not None and turn.status == "completed" for turn in told.turns_log)
    calls = [
        item for item in (event.get("item", {}) for event in events) if item.get("type") == "function_call"
    ]
    assert {call.call_id for call in told.tools} == {item["call_id"] for item in calls}
    assert all(
        call.arguments == item["arguments"] for call, item in zip(told.tools, calls[-1:], strict=False)
    )
    updated = [event["session"] for event in events if event["type"].startswith("session.")]
    assert told.session == (updated[-1] if updated else None)


def test_late_words_go_to_their_place() -> None:
    told = fold(
        *TURN, {"type": f"{TRANSCRIPTION}completed", "item_id": "item_a", "transcript": "What time is it?"}
    ).state
    assert [(line.role, line.text) for line in told.transcript] == [
        ("user", "What time is it?"),
        ("assistant", "It is noon now."),
    ]
    assert told.last_words == "It is noon now."


def test_words_may_come_before_their_item() -> None:
    told = fold(
        {"type": f"{TRANSCRIPTION}delta", "item_id": "item_a", "delta": "What "},
        {"type": f"{TRANSCRIPTION}delta", "item_id": "item_a", "delta": "time"},
        added(message("item_a", "user", SPOKEN), None),
    ).state
    assert [(line.item_id, line.text, line.final) for line in told.transcript] == [
        ("item_a", "What time", False)
    ]


def test_speech_that_nobody_puts_into_words_is_final_at_once() -> None:
    item = added(message("item_a", "user", SPOKEN), None)
    assert not fold(item).state.transcript[0].final
    assert fold(item, session={"type": "realtime"}).state.transcript[0].final
    wanted = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    assert not fold(item, session=wanted).state.transcript[0].final


def test_an_item_put_between_others_stands_there() -> None:
    told = fold(
        added(message("a", "user", {"type": "input_text", "text": "one"}), None),
        added(message("b", "assistant", {"type": "output_text", "text": "three"}), "a"),
        added(message("c", "system", {"type": "input_text", "text": "two"}), "a"),
        added(message("d", "user", {"type": "input_text", "text": "zero"}), None),
        added(message("e", "user", {"type": "input_text", "text": "four"}), "unknown"),
        added(message("b", "assistant", {"type": "output_text", "text": "three"}), None, done=True),
    ).state
    assert [line.text for line in told.transcript] == ["zero", "one", "two", "three", "four"]
    assert all(line.final for line in told.transcript)


def test_what_was_cut_off_was_not_heard() -> None:
    truncated = {"type": "conversation.item.truncated", "item_id": "item_b", "audio_end_ms": 300}
    told = fold(*TURN, {"type": "output_audio_buffer.cleared", "response_id": "resp_1"}, truncated).state
    line = told.transcript[1]
    # 300 ms at 15 characters a second end within "It is".
    assert (line.heard, line.heard_ms, line.text) == ("It is", 300, "It is noon now.")
    assert told.turns_log[0].interrupted


def test_what_the_service_kept_was_heard() -> None:
    kept = message(
        "item_b", "assistant", {"type": "output_audio", "transcript": "It is noon"}, status="incomplete"
    )
    told = fold(
        *TURN,
        {"type": "conversation.item.truncated", "item_id": "item_b", "audio_end_ms": 300},
        {"type": "conversation.item.retrieved", "item": kept},
    ).state
    assert told.transcript[1].heard == "It is noon"


def test_what_was_cleared_without_a_truncation_is_estimated() -> None:
    told = fold(*TURN, {"type": "output_audio_buffer.cleared", "response_id": "resp_1"}, step_s=0.2).state
    line = told.transcript[1]
    # Played for two steps of 200 ms.
    assert line.heard_ms == 400
    assert line.heard == "It is noon"


def test_a_turn_s_marks_count_from_the_end_of_the_speech() -> None:
    told = fold(
        *TURN, done(), {"type": f"{TRANSCRIPTION}completed", "item_id": "item_a", "transcript": "x"}
    ).state
    (turn,) = told.turns_log
    marks = msgspec.to_builtins(turn.marks)
    assert marks == {
        "speech_stopped_ms": 0,
        "committed_ms": 100,
        "transcript_ms": 1000,
        "response_created_ms": 300,
        "first_words_ms": 600,
        "first_audio_ms": 700,
        "done_ms": 900,
    }
    assert (turn.item_id, turn.response_id, turn.status, turn.interrupted) == (
        "item_a",
        "resp_1",
        "completed",
        False,
    )


def test_a_response_out_of_band_is_no_turn_but_is_counted() -> None:
    beside = {"id": "resp_2", "conversation_id": None, "status": "completed", "usage": {"total_tokens": 7}}
    told = fold(
        {"type": "response.created", "response": beside}, {"type": "response.done", "response": beside}
    ).state
    assert (told.turns, told.usage.total_tokens, told.transcript) == (0, 7, [])


def test_a_response_that_is_told_twice_is_counted_once() -> None:
    usage = {"total_tokens": 5, "input_tokens": 3, "input_token_details": {"cached_tokens": 2}}
    told = fold(CREATED, done(usage=usage), done(usage=usage)).state
    assert (told.usage.total_tokens, told.usage.input_tokens, told.usage.input_cached_tokens) == (5, 3, 2)


def test_stages_are_the_services_own() -> None:
    told = fold(
        CREATED, {"type": "vivavoz.turn.timings", "response_id": "resp_1", "vad_ms": 1.5, "stt_ms": 80}
    ).state
    stages = told.turns_log[0].stages
    assert stages is not None
    assert (stages.vad_ms, stages.stt_ms, stages.first_packet_ms) == (1.5, 80, None)


def test_a_failed_response_a_failed_transcription_and_an_error_are_noted() -> None:
    error = {"type": "server_error", "code": "overloaded", "message": "try later"}
    told = fold(
        CREATED,
        done("failed", status_details={"error": error}),
        {"type": f"{TRANSCRIPTION}failed", "item_id": "item_a", "error": {"code": "e", "message": "no"}},
        {"type": "error", "error": {"type": "invalid_request_error", "message": "bad", "param": "item"}},
    ).state
    assert [(note.code, note.message, note.param) for note in told.errors] == [
        ("overloaded", "try later", None),
        ("e", "no", None),
        ("invalid_request_error", "bad", "item"),
    ]


def test_a_tool_call_is_followed_to_its_output() -> None:
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"}
    output = {"id": "o", "type": "function_call_output", "call_id": "c", "output": "noon"}
    told = fold(
        CREATED,
        of_response("output_item.added", item={**call, "arguments": ""}),
        of_response("function_call_arguments.done", call_id="c", arguments="{}"),
        of_response("output_item.done", item=call),
        done(),
        added(output, "f"),
        owned=frozenset({"clock"}),
    ).state
    (tool,) = told.tools
    assert (tool.name, tool.arguments, tool.output, tool.by, tool.ms) == (
        "clock",
        "{}",
        "noon",
        "application",
        300,
    )
    assert tool.status == "completed"


# ------------------------------------------------------------------------------------------- anything

NAMES = sorted(CallFold(info())._handlers)
IDS = st.sampled_from(["item_a", "item_b", "resp_1", "call_1", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | IDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = [
    "item_id", "previous_item_id", "response_id", "content_index", "delta", "transcript", "text",
    "audio_end_ms",
    "call_id", "arguments", "error", "session", "usage", "vad_ms",
]  # fmt: skip
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS | JSON,
        "type": st.sampled_from(["message", "function_call", "function_call_output", "mcp_call"]) | JSON,
        "role": st.sampled_from(["user", "assistant"]) | JSON,
        "status": st.sampled_from(["in_progress", "completed", "incomplete"]) | JSON,
        "content": st.lists(
            st.dictionaries(st.sampled_from(["type", "text", "transcript"]), JSON), max_size=3
        )
        | JSON,
        **dict.fromkeys(("call_id", "name", "arguments", "output", "error"), IDS | JSON),
    },
)
RESPONSE = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS | JSON,
        "conversation_id": st.none() | JSON,
        "status": st.sampled_from(["completed", "cancelled", "failed"]) | JSON,
        "output": st.lists(ITEM, max_size=2) | JSON,
        "usage": st.dictionaries(st.sampled_from(["total_tokens", "input_token_details"]), JSON) | JSON,
        "status_details": JSON,
    },
)
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(NAMES) | JSON},
    optional={**dict.fromkeys(MEMBERS, IDS | JSON), "item": ITEM | JSON, "response": RESPONSE | JSON},
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(EVENT, max_size=25))
def test_no_event_raises_and_the_state_can_be_told(events: list[dict[str, Any]]) -> None:
    told = fold(*events).state
    again = msgspec.json.decode(msgspec.json.encode(told), type=CallState)
    assert len({line.item_id for line in again.transcript}) == len(again.transcript)
    assert again.usage.total_tokens >= 0


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.permutations(
        [*TURN, done(), {"type": f"{TRANSCRIPTION}completed", "item_id": "item_a", "transcript": "Hi"}]
    )
)
def test_in_whatever_order_a_turn_is_told_its_items_are_known(events: list[dict[str, Any]]) -> None:
    told = fold(*events).state
    assert {line.item_id for line in told.transcript} == {"item_a", "item_b"}
    assert next(line for line in told.transcript if line.item_id == "item_a").text == "Hi"
    assert told.usage.responses == 1


def test_everything_is_bounded() -> None:
    call = CallFold(info())
    for n in range(3000):
        long = "word " * 10_000
        call.apply(n, {"type": "error", "error": {"message": long}})
        call.apply(n, added(message(f"m{n}", "user", {"type": "input_text", "text": long}), f"m{n - 1}"))
        function = {
            "id": f"f{n}",
            "type": "function_call",
            "call_id": f"c{n}",
            "name": "x",
            "arguments": long,
        }
        call.apply(n, of_response("output_item.added", item=function))
        call.apply(n, {"type": "response.created", "response": {"id": f"r{n}", "conversation_id": "c"}})
        call.apply(n, {"type": "output_audio_buffer.started", "response_id": f"r{n}"})
        call.apply(n, {"type": "response.done", "response": {"id": f"r{n}", "conversation_id": "c"}})
        call.gap(n, n, "lost")
    call.apply(0, {"type": "session.updated", "session": {"instructions": "x" * 10**6}})
    told = call.state
    assert len(told.transcript) == transcript.MAX_LINES
    assert max(len(line.text) for line in told.transcript) == transcript.MAX_TEXT
    assert len(told.tools) == toolcalls.MAX_TOOL_CALLS
    assert len(told.turns_log) == turns.MAX_TURNS
    assert call.turns.count == 3000
    assert (len(told.errors), len(told.gaps)) == (state.MAX_ERRORS, state.MAX_GAPS)
    assert told.session is None
    kept = [
        call.transcript._by_id,
        call.transcript._parts,
        call.transcript._started,
        call.transcript._said_by,
    ]
    kept += [call.turns._by_response, call.turns._spoken_by, call.tools._by_id, call._counted]
    assert max(len(each) for each in kept) <= 1000
    assert len(json.dumps(msgspec.to_builtins(told))) < 32 * 1024 * 1024
