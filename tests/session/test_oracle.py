"""The oracle itself, and the tables of docs/compatibility.md against the official SDK's unions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from openai.types.realtime import RealtimeResponseCreateParams, RealtimeSessionCreateRequest
from pydantic import ValidationError

from tests.session import oracle
from vivavoz.wire import server_events as ev
from vivavoz.wire.base import tag_of
from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.items import FunctionCall, InputAudio, Message
from vivavoz.wire.options import SessionPatch
from vivavoz.wire.responses import ResponsePatch
from vivavoz.wire.server_events import ServerEvent

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
ROW = re.compile(r"^\| `([^`]+)` \| (yes|no|echoed) \| (.*?) ?\|$", re.MULTILINE)


def table(heading: str) -> dict[str, tuple[str, str]]:
    """State and remarks of every row under a heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = ROW.findall(section)
    assert len(rows) == len([line for line in section.splitlines() if line.startswith("| `")])
    return {name: (state, remarks) for name, state, remarks in rows}


@pytest.mark.parametrize(
    ("heading", "union", "ours"),
    [
        ("Client events", oracle.CLIENT_EVENTS, ClientEvent),
        ("Server events", oracle.SERVER_EVENTS, ServerEvent),
    ],
)
def test_every_event_of_the_sdk_is_there_or_its_absence_is_explained(
    heading: str, union: dict[str, Any], ours: Any
) -> None:
    rows = table(heading)
    assert set(rows) == set(union)
    assert {name for name, (state, _) in rows.items() if state == "yes"} == {
        tag_of(kind) for kind in get_args(ours)
    }
    assert all(remarks for state, remarks in rows.values() if state == "no")


def test_every_member_of_the_session_is_accounted_for() -> None:
    rows = table("Session")
    top = {name.split(".")[0] for name in rows}
    assert top == set(RealtimeSessionCreateRequest.model_fields)
    refused = {name for name, (state, _) in rows.items() if state == "no"}
    known = {"type", *SessionPatch.__struct_fields__}
    assert top - known == refused


def test_every_member_of_a_response_request_is_accounted_for() -> None:
    rows = table("`response.create`")
    assert set(rows) == set(RealtimeResponseCreateParams.model_fields)
    refused = {name for name, (state, _) in rows.items() if state == "no"}
    assert set(rows) - set(ResponsePatch.__struct_fields__) == refused


# ------------------------------------------------------------------------------------- does it see anything?


def item_added(item: Any) -> ServerEvent:
    return ev.ConversationItemAdded(event_id="e", previous_item_id=None, item=item)


def test_the_oracle_takes_a_good_event() -> None:
    content = [InputAudio(transcript=None)]
    oracle.check(item_added(Message(id="a", role="user", status="completed", content=content)))


@pytest.mark.parametrize(
    "event",
    [
        item_added(FunctionCall(id=None, name="f", arguments="", call_id="c")),  # type: ignore[arg-type]
        item_added(Message(id="a", role="user", status=None, content=[])),  # type: ignore[arg-type]
        item_added(Message(id="a", role="user", content=[], object="realtime.item")),
        ev.SpeechStarted(event_id="e", audio_start_ms="0", item_id="a"),  # type: ignore[arg-type]
        ev.ContentPartAdded(
            event_id="e",
            response_id="r",
            item_id="i",
            output_index=0,
            content_index=0,
            part=ev.Part(type="audio", transcript=None),  # type: ignore[arg-type]
        ),
        ev.OutputAudioDelta(
            event_id="e", response_id="r", item_id="i", output_index=0, content_index=0, delta=bytes(2**20)
        ),
    ],
    ids=["null id", "null status", "object", "string for number", "null transcript", "frame too long"],
)
def test_the_oracle_refuses_what_some_client_chokes_on(event: ServerEvent) -> None:
    with pytest.raises((AssertionError, ValidationError)):
        oracle.check(event)
