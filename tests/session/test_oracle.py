"""The oracle itself, and the tables of docs/compatibility.md against the official SDK's unions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from openai.types.realtime import (
    AudioTranscription,
    ConversationItem,
    RealtimeResponseCreateParams,
    RealtimeSessionCreateRequest,
)
from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad, ServerVad
from pydantic import ValidationError

from tests.session import oracle
from vivavoz.wire import server_events as ev
from vivavoz.wire.base import tag_of
from vivavoz.wire.client_events import ClientEvent
from vivavoz.wire.items import FunctionCall, InputAudio, Message
from vivavoz.wire.options import SessionPatch
from vivavoz.wire.responses import ResponsePatch
from vivavoz.wire.server_events import ServerEvent

TABLES: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parents[2] / "docs" / "compatibility.toml").read_text()
)


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
    rows = TABLES[heading]
    assert set(rows) == set(union)
    assert {name for name, row in rows.items() if row["state"] == "applied"} == {
        tag_of(kind) for kind in get_args(ours)
    }
    assert all(row["remarks"] for row in rows.values() if row["state"] != "applied")


@pytest.mark.parametrize(
    ("heading", "theirs", "ours"),
    [
        ("Session", RealtimeSessionCreateRequest, SessionPatch),
        ("`response.create`", RealtimeResponseCreateParams, ResponsePatch),
    ],
)
def test_every_member_that_can_be_set_is_accounted_for(heading: str, theirs: Any, ours: Any) -> None:
    """Down to the last member of what is in them: of the tools, and what is free, their own pages speak."""
    rows = TABLES[heading]
    assert {name.partition(".")[0] for name in rows} == set(theirs.model_fields)
    applied = {name.partition(".")[0] for name, row in rows.items() if row["state"] == "applied"}
    assert applied <= {"type", *ours.__struct_fields__}


@pytest.mark.parametrize(
    ("path", "theirs"),
    [
        ("audio.input.transcription", AudioTranscription),
        ("audio.input.turn_detection", ServerVad),
        ("audio.input.turn_detection", SemanticVad),
    ],
)
def test_every_member_within_is_accounted_for(path: str, theirs: Any) -> None:
    known = {name.rpartition(".")[2] for name in TABLES["Session"] if name.rpartition(".")[0] == path}
    assert set(theirs.model_fields) - {"type"} <= known


def test_every_member_of_every_item_is_accounted_for() -> None:
    kinds: set[str] = set()
    for theirs in get_args(get_args(ConversationItem)[0]):
        (kind,) = get_args(theirs.model_fields["type"].annotation)
        kinds.add(kind)
        known = {name.partition(".")[2] for name in TABLES["Items"] if name.partition(".")[0] == kind}
        assert set(theirs.model_fields) - {"type"} <= known, kind
    parts = {"input_text", "input_audio", "input_image", "output_text", "output_audio"}
    assert {name.partition(".")[0] for name in TABLES["Items"]} == kinds | parts


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
