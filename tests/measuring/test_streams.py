"""What the packets of an answer come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.measuring.sound import Heard
from vivavoz.measuring.streams import Streams, missing


def packets(arrivals: list[float], *, silent: frozenset[int] = frozenset(), first: int = 0) -> list[Heard]:
    """20 ms each, numbered and stamped one after the other."""
    return [
        Heard(
            at,
            (first + n) & 0xFFFF,
            (960 * (first + n)) & 0xFFFFFFFF,
            None if n in silent else 0.0,
            None if n in silent else 0.02,
        )
        for n, at in enumerate(arrivals)
    ]


def test_an_even_stream() -> None:
    found = Streams(1)
    found.packets_of(packets([0.02 * n for n in range(50)], first=65_520))
    assert (found.answers, found.packets, found.lost, found.late) == (1, 50, 0, 0)
    assert max(found.pace_ms) == pytest.approx(0, abs=0.001)
    assert found.silence_ms == [pytest.approx(0, abs=0.001)]


def test_a_late_packet_and_a_silence_within() -> None:
    arrivals = [0.02 * n for n in range(50)]
    arrivals[20] += 0.015
    arrivals[30] += 0.06
    found = Streams(1)
    came = sorted(packets(arrivals, silent=frozenset(range(5, 15))), key=lambda each: each.arrived)
    found.packets_of(came)
    assert (found.lost, found.late) == (0, 1)
    assert found.silence_ms == [pytest.approx(200, abs=1)]
    assert 14 < max(found.pace_ms) < 100


@given(st.integers(0, 65_535), st.lists(st.booleans(), min_size=1, max_size=200), st.randoms())
def test_what_never_came_is_counted_across_the_wrap_and_in_any_near_order(
    first: int, came: list[bool], chance: object
) -> None:
    came[0] = came[-1] = True
    numbers = [(first + n) & 0xFFFF for n, here in enumerate(came) if here]
    for at in range(0, len(numbers) - 1, 3):  # neighbours that overtook each other
        numbers[at], numbers[at + 1] = numbers[at + 1], numbers[at]
    assert missing(numbers) == came.count(False)


def test_a_report_of_nothing() -> None:
    found = Streams(3)
    found.packets_of([])
    found.pieces_of([])
    assert found.report() == {"calls": 3, "answers": 0, "spoken_s": 0.0, "packets": 0, "dry_ms": {"n": 0}}
