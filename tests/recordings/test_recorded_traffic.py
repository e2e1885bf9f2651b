"""The same client, the same engines' words: the same events as the hosted services sent, in the same shapes.

Recordings are not part of the project. They are looked for where ``VIVAVOZ_RECORDINGS`` says, or in a folder
``recordings`` of a sibling of the project's; the tests skip where there are none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.recordings.replay import TRANSCRIPTION, Event, Recording, Replay

NAMED = os.environ.get("VIVAVOZ_RECORDINGS")
FOLDERS = [Path(NAMED)] if NAMED else sorted(Path(__file__).parents[3].glob("*/recordings"))
PATHS = [
    path for folder in FOLDERS for path in sorted(folder.glob("*_ws*/*.yaml")) if Recording(path).messages
]
REASON = "no recorded traffic here (VIVAVOZ_RECORDINGS names its folder)"

NOT_SENT = {
    f"{TRANSCRIPTION}delta": "compared apart: unordered after the commit, and cut as the recogniser likes",
    f"{TRANSCRIPTION}completed": "compared apart: unordered after the commit",
    f"{TRANSCRIPTION}failed": "compared apart: unordered after the commit",
}
"""Left out of the sequences on both sides."""

DIFFERENT = {
    "*.delta.obfuscation": "padding against traffic analysis; of no use to a client",
    "response.content_part.*.content": "Azure's second copy of part",
    "response.content_part.*.content.*": "Azure's second copy of part",
    "*_transcription.failed.error.param": "null there, absent here: some client takes only the latter",
    "conversation.item.done.previous_item_id": "often null there; here the real one",
}
"""The only members that may be absent, or of another type."""

OWN_VALUES = ("id", "expires_at", "instructions")
"""Members of a session whose values cannot be the same."""


def ids(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def shape(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every member's path with its JSON type."""
    if isinstance(value, dict):
        yield path, "object"
        for name, inner in value.items():
            yield from shape(inner, f"{path}.{name}")
    elif isinstance(value, list):
        yield path, "array"
        for inner in value:
            yield from shape(inner, f"{path}[]")
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        yield path, "number" if number else type(value).__name__


def differences(theirs: Event, ours: Event) -> set[str]:
    name = theirs["type"]
    differing = {path for path, _ in set(shape(theirs, name)) ^ set(shape(ours, name))}
    return {path for path in differing if not any(fnmatch(path, pattern) for pattern in DIFFERENT)}


def compared(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] not in NOT_SENT]


def failures(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == f"{TRANSCRIPTION}failed"]


FAILED = [path for path in PATHS if failures(Recording(path).received)]
POSSIBLE = [
    (path, plan)
    for path in PATHS
    for plan in ("cascade", "converse")
    if plan == "converse" or path not in FAILED
]
"""Every recording by both plans; only what was not understood, which the recorded model answered because it
hears by itself, can no cascade answer."""


@pytest.fixture(params=POSSIBLE or [None], ids=lambda play: f"{ids(play[0])}-{play[1]}" if play else "none")
def play(request: pytest.FixtureRequest) -> tuple[Path, str]:
    if request.param is None:
        pytest.skip(REASON)
    path, plan = request.param
    return path, plan


@pytest.fixture
def recording(play: tuple[Path, str]) -> Recording:
    return Recording(play[0])


@pytest.fixture
def plan(play: tuple[Path, str]) -> str:
    return play[1]


def test_the_same_events_in_the_same_order(recording: Recording, plan: str) -> None:
    ours = Replay(recording, plan).play()
    assert [event["type"] for event in compared(ours)] == [
        event["type"] for event in compared(recording.received)
    ]


def test_the_same_members_of_the_same_types(recording: Recording, plan: str) -> None:
    ours = Replay(recording, plan).play()
    for theirs, mine in zip(compared(recording.received), compared(ours), strict=True):
        assert not differences(theirs, mine), theirs["type"]


def test_the_same_transcript_in_the_same_shape(recording: Recording, plan: str) -> None:
    ours = {event["type"]: event for event in Replay(recording, plan).play()}
    for theirs in recording.received:
        if theirs["type"] == f"{TRANSCRIPTION}completed":
            mine = ours[theirs["type"]]
            assert mine["transcript"] == theirs["transcript"]
            assert mine["usage"] == theirs["usage"]
            assert not differences(theirs, mine)


@pytest.mark.parametrize("path", FAILED or [None], ids=lambda path: ids(path) if path else "none")
def test_the_same_failed_transcription(path: Path | None) -> None:
    if path is None:
        pytest.skip(REASON)
    (theirs,) = failures(Recording(path).received)
    (mine,) = failures(Replay(Recording(path), "cascade").play())
    assert mine["error"] == {name: value for name, value in theirs["error"].items() if value is not None}
    assert not differences(theirs, mine)


def test_the_same_session_after_every_update(recording: Recording, plan: str) -> None:
    ours = [event["session"] for event in Replay(recording, plan).play() if "session" in event]
    theirs = [event["session"] for event in recording.received if "session" in event]
    assert len(ours) == len(theirs)
    for mine, recorded in zip(ours, theirs, strict=True):
        assert {**mine, **dict.fromkeys(OWN_VALUES)} == {**recorded, **dict.fromkeys(OWN_VALUES)}
        assert list(mine) == list(recorded)


def test_the_same_positions_and_order_of_items(recording: Recording, plan: str) -> None:
    """``audio_start_ms`` and ``audio_end_ms`` to the millisecond; which item follows which."""
    ours, theirs = Replay(recording, plan).play(), recording.received
    assert list(positions(ours)) == list(positions(theirs))
    assert list(neighbours(ours)) == list(neighbours(theirs))


def positions(events: list[Event]) -> Iterator[tuple[str, int]]:
    for event in events:
        for name in ("audio_start_ms", "audio_end_ms"):
            if name in event:
                yield event["type"], event[name]


def neighbours(events: list[Event]) -> Iterator[tuple[int, int | None]]:
    """Items by the order in which they appear, each with the one it was put after."""
    seen: dict[str, int] = {}
    for event in events:
        if event["type"] == "conversation.item.added":
            seen.setdefault(event["item"]["id"], len(seen))
            before = event["previous_item_id"]
            yield seen[event["item"]["id"]], None if before is None else seen[before]
