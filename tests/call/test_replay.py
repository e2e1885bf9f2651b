"""The log of what a call has sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.call.replay import ReplayLog


def log(*events: tuple[str, bytes], limit: int = 100_000) -> ReplayLog:
    made = ReplayLog(limit)
    for event_id, event in events:
        made.add(event_id, event)
    return made


def test_from_the_start_and_from_an_event() -> None:
    kept = log(("a", b"A"), ("b", b""), ("c", b"C"))
    assert kept.after("start") == ([b"A", b"C"], True)
    assert kept.after("a") == ([b"C"], True)
    # What went to one observer only can be named, and is not told again.
    assert kept.after("b") == ([b"C"], True)
    assert kept.after("c") == ([], True)


def test_an_unknown_event_gives_all_there_is_and_says_so() -> None:
    assert log(("a", b"A")).after("z") == ([b"A"], False)


@pytest.mark.parametrize("limit", [0, 500])
def test_the_oldest_goes_first_and_it_is_told(limit: int) -> None:
    kept = log(*((f"e{number}", bytes([number])) for number in range(9)), limit=limit)
    replay = kept.after("start")
    assert not replay.complete
    assert replay.events == [bytes([number]) for number in range(9 - limit // 201, 9)]
    if limit:
        assert kept.after("e7") == ([bytes([8])], True)
    assert not kept.after("e0").complete


@given(st.lists(st.binary(max_size=300), max_size=60), st.integers(0, 3000))
def test_it_never_holds_more_than_it_may(events: list[bytes], limit: int) -> None:
    kept = log(*((f"e{number}", event) for number, event in enumerate(events)), limit=limit)
    replay = kept.after("start")
    assert sum(map(len, replay.events)) <= limit
    told = [event for event in events if event]
    assert replay.events == told[len(told) - len(replay.events) :]
    assert not replay.complete or replay.events == told
