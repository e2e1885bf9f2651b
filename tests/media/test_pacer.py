"""The pacer's slots, in virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest

from vivavoz.media.pacer import FRAME, Lateness, Pacer, Slots


class Member:
    def __init__(self) -> None:
        self.turns: list[tuple[float, int]] = []

    def tick(self, now: float, skipped: int) -> None:
        self.turns.append((now, skipped))


def test_every_member_has_its_turn_every_20_ms_spread_over_the_slots() -> None:
    slots, members = Slots(4), [Member() for _ in range(8)]
    for member in members:
        slots.add(member, 100.0)
    following = 100.0
    while following < 100.9999:
        following = slots.run(following)
    for member in members:
        assert len(member.turns) == pytest.approx(50, abs=1)
        steps = [b[0] - a[0] for a, b in zip(member.turns, member.turns[1:], strict=False)]
        assert all(step == pytest.approx(FRAME) for step in steps)
    assert len({round(member.turns[0][0], 4) for member in members}) == 4


def test_a_short_stall_is_made_up_for() -> None:
    slots, member = Slots(4), Member()
    slots.add(member, 0.0)
    slots.run(0.02)
    slots.run(0.08)
    assert [skipped for _, skipped in member.turns] == [0] * len(member.turns)
    assert len(member.turns) == 4


def test_a_long_stall_is_skipped_and_told() -> None:
    slots, member = Slots(4), Member()
    slots.add(member, 0.0)
    slots.run(0.02)
    slots.run(2.0)
    turns = sum(1 + skipped for _, skipped in member.turns)
    assert turns == pytest.approx(100, abs=1)
    assert len(member.turns) <= 8


def test_a_member_may_leave_in_its_turn() -> None:
    slots, other = Slots(1), Member()

    class Leaver(Member):
        def tick(self, now: float, skipped: int) -> None:
            super().tick(now, skipped)
            slots.remove(self)

    leaver = Leaver()
    slots.add(leaver, 0.0)
    slots.add(other, 0.0)
    slots.run(0.02)
    slots.run(0.04)
    assert (len(leaver.turns), len(other.turns), len(slots)) == (1, 2, 1)


async def test_after_a_stall_the_socket_is_read_before_the_turns() -> None:
    order: list[str] = []
    done = asyncio.Event()

    class Turn(Member):
        def tick(self, now: float, skipped: int) -> None:
            order.append("turn")
            done.set()

    pacer = Pacer(after_stall=lambda: order.append("read"))
    pacer.add(Turn())
    time.sleep(0.1)  # noqa: ASYNC251 - the stall itself
    await asyncio.wait_for(done.wait(), 60)
    pacer.stop()
    assert order[:2] == ["read", "turn"]


def test_empty_slots_wake_nobody() -> None:
    slots, member = Slots(4), Member()
    slots.add(member, 0.0)
    following, wakes = 0.0, 0
    while following < 0.9999:
        following = slots.run(following)
        wakes += 1
    assert len(member.turns) == pytest.approx(50, abs=1)
    assert wakes <= 52
    late = Member()
    slots.add(late, following)
    slots.run(slots.run(following) + FRAME)
    assert late.turns


def test_turns_on_time_are_not_late() -> None:
    slots = Slots(4)
    slots.add(Member(), 100.0)
    following = 100.0
    while following < 106.0:
        following = slots.run(following + 0.0004)
    assert slots.lateness.p99(following) == pytest.approx(0.0004, abs=1e-6)


def test_a_clock_that_is_often_late_is_known_and_forgotten() -> None:
    slots = Slots(4)
    slots.add(Member(), 100.0)
    following = 100.0
    while following < 106.0:
        late = 0.03 if int(following * 50) % 20 == 0 else 0.0
        following = slots.run(following + late)
    assert slots.lateness.p99(following) == pytest.approx(0.03, abs=0.011)
    while following < 112.0:
        following = slots.run(following)
    assert slots.lateness.p99(following) < 0.001


def test_a_few_turns_do_not_tell() -> None:
    lateness = Lateness()
    for n in range(Lateness.FEWEST - 1):
        lateness.add(n * 0.02, 1.0)
    assert lateness.p99(2.0) == 0.0
    lateness.add(2.0, 1.0)
    assert lateness.p99(2.0) == 1.0


def test_one_late_turn_in_hundreds_is_no_overload() -> None:
    lateness = Lateness()
    for n in range(250):
        lateness.add(n * 0.02, 0.3 if n == 120 else 0.001)
    assert lateness.p99(5.0) == 0.001
