"""What a browser is shown of a call under each filter."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoz.transports.filtering import EventFilter
from vivavoz.wire.items import FunctionCall, FunctionCallOutput, InputText, Message
from vivavoz.wire.mcp import McpListTools
from vivavoz.wire.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    InputAudioBufferCleared,
    OutputTextDelta,
    TranscriptionCompleted,
    TranscriptionUsage,
)


def message(item_id: str, role: Any = "user") -> Message:
    return Message(id=item_id, role=role, content=[InputText(text="said")])


def added(item: Any, before: str | None = None) -> ConversationItemAdded:
    return ConversationItemAdded(event_id="e", previous_item_id=before, item=item)


def transcript(item_id: str) -> TranscriptionCompleted:
    usage = TranscriptionUsage(type="duration", seconds=1.0)
    return TranscriptionCompleted(
        event_id="e", item_id=item_id, content_index=0, transcript="words", usage=usage
    )


DELTA = OutputTextDelta(
    event_id="e", response_id="r", item_id="i", output_index=0, content_index=0, delta="d"
)
CLEARED = InputAudioBufferCleared(event_id="e")
UNHEARD_OF = [
    FunctionCall(id="x", name="f", arguments="{}"),
    FunctionCallOutput(id="x", call_id="c", output="secret"),
    message("x", "system"),
    McpListTools(id="x", server_label="s", tools=[]),
]


def test_off_shows_all_as_it_is() -> None:
    shown = EventFilter("off")
    for event in (DELTA, CLEARED, added(UNHEARD_OF[0])):
        assert shown.shown(event) is event


@pytest.mark.parametrize("level", ["on", "strict"])
def test_only_the_eleven_types_pass(level: Any) -> None:
    shown = EventFilter(level)
    assert shown.shown(DELTA) is DELTA
    assert shown.shown(CLEARED) is None


@pytest.mark.parametrize("item", UNHEARD_OF, ids=lambda item: type(item).__name__)
def test_strict_shows_nothing_of_tools_and_the_system(item: Any) -> None:
    assert EventFilter("on").shown(added(item)) is not None
    strict = EventFilter("strict")
    assert strict.shown(added(item, "a")) is None
    assert strict.shown(transcript("x")) is None
    after = strict.shown(added(message("y"), "x"))
    assert after is not None
    assert after.previous_item_id == "a"


def test_what_is_before_skips_all_that_is_hidden() -> None:
    strict = EventFilter("strict")
    said = added(message("a"))
    assert strict.shown(said) is said
    for item_id, before in (("s1", "a"), ("s2", "s1"), ("s3", "s2")):
        assert strict.shown(added(message(item_id, "system"), before)) is None
    # One that is gone is no longer between them.
    assert strict.shown(ConversationItemDeleted(event_id="e", item_id="s2")) is None
    last = strict.shown(added(message("b"), "s3"))
    assert last is not None
    assert last.previous_item_id == "a"
    first = EventFilter("strict")
    first.shown(added(message("s", "system")))
    shown = first.shown(added(message("b"), "s"))
    assert shown is not None
    assert shown.previous_item_id is None


def test_an_id_that_is_used_again_for_talk_is_shown() -> None:
    strict = EventFilter("strict")
    strict.shown(added(message("x", "system")))
    strict.shown(ConversationItemDeleted(event_id="e", item_id="x"))
    assert strict.shown(added(message("x"))) is not None
    assert strict.shown(transcript("x")) is not None
