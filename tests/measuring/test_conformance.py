"""Which events an endpoint lacks or shapes otherwise: by name, and without a word of what was said."""

from __future__ import annotations

import json
from typing import Any

from vivavoz.measuring.conformance import ONLY, TURN, Conformance
from vivavoz.measuring.inbox import Inbox


def looked(*events: Any) -> Conformance:
    inbox = Inbox()
    for event in events:
        inbox.put(1.0, json.dumps(event))
    found = Conformance()
    found.look(inbox)
    return found


def test_events_that_never_came_are_named() -> None:
    missing = looked({"type": "session.created", "event_id": "e", "session": {}}).missing("websocket")
    assert missing == [*TURN[1:], *ONLY["websocket"]]


def test_a_voice_that_is_cleared_need_not_stop() -> None:
    cleared = {"type": "output_audio_buffer.cleared", "event_id": "e", "response_id": "r"}
    missing = looked(cleared).missing("webrtc")
    assert "output_audio_buffer.started" in missing
    assert not {"output_audio_buffer.stopped", "output_audio_buffer.cleared"} & set(missing)


def test_what_is_shaped_otherwise_is_named_by_its_member_and_never_by_its_value() -> None:
    found = looked(
        {
            "type": "input_audio_buffer.speech_started",
            "event_id": "e",
            "audio_start_ms": "SAID",
            "item_id": "i",
        },
        {"type": "response.output_audio_transcript.delta", "delta": "SAID"},
    ).report("websocket")
    assert found["shaped_otherwise"] == {
        "input_audio_buffer.speech_started": "audio_start_ms",
        "response.output_audio_transcript.delta": "event_id",
    }
    assert "SAID" not in json.dumps(found)


def test_well_shaped_events_are_not_complained_of() -> None:
    found = looked(
        {"type": "input_audio_buffer.committed", "event_id": "e", "previous_item_id": None, "item_id": "i"}
    )
    assert found.report("webrtc")["shaped_otherwise"] == {}


def test_other_names_and_what_is_no_event() -> None:
    found = looked({"type": "response.audio.delta"}, {"type": "x\x1b[2J"}, [1], {"type": 5}, {}, "text")
    report = found.report("websocket")
    assert report["not_known_here"] == ["response.audio.delta", "x?[2J"]
    assert report["unreadable_messages"] == 4


def test_errors_are_counted_by_code_and_their_messages_left_out() -> None:
    error = {"type": "invalid_request_error", "code": "bad_thing", "message": "SAID", "param": None}
    found = looked(*[{"type": "error", "event_id": "e", "error": {**error, "event_id": None}}] * 2)
    assert found.report("webrtc")["errors"] == {"bad_thing": 2}
    assert "SAID" not in json.dumps(found.report("webrtc"))


def test_names_without_end_are_not_kept() -> None:
    found = looked(*({"type": f"made.up.{n}"} for n in range(500)))
    assert len(found.seen) == 100
