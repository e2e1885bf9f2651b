"""Budgets: calls at once, and minutes a day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.app.access.ledger import DAY_S, LONGEST_CALL_S, Ledger
from vivavoz.app.config import Budgets
from vivavoz.app.errors import AppError


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def ledger(clock: Clock, **budgets: int) -> Ledger:
    return Ledger(Budgets(**budgets), clock)


def refused(book: Ledger, user: str) -> str:
    with pytest.raises(AppError) as refusal:
        book.reserve(user, 60)
    assert refusal.value.status == 429
    assert refusal.value.retry_after_s is not None
    return str(refusal.value.code)


def test_a_user_has_so_many_calls() -> None:
    book = ledger(Clock(), user_calls=2)
    first = book.reserve("ann", 60)
    book.started("one", "ann", reservation=first)
    second = book.reserve("ann", 60)
    assert refused(book, "ann") == "too_many_calls"
    book.reserve("bob", 60)
    book.release(second)
    book.release(second)
    book.reserve("ann", 60)
    assert refused(book, "ann") == "too_many_calls"
    book.ended("one")
    book.ended("one")
    book.reserve("ann", 60)


def test_everybody_together_has_so_many_calls() -> None:
    book = ledger(Clock(), calls=2)
    book.reserve("ann", 60)
    book.reserve("bob", 60)
    assert refused(book, "eve") == "too_many_calls"


def test_a_token_that_nobody_used_frees_its_place() -> None:
    clock = Clock()
    book = ledger(clock, user_calls=1)
    book.reserve("ann", 60)
    clock.now += 61
    book.reserve("ann", 60)


def test_the_call_of_a_token_takes_the_tokens_place() -> None:
    clock = Clock()
    book = ledger(clock, user_calls=2)
    book.reserve("ann", 60)
    book.started("one", "ann")
    assert book.calls("ann") == 1
    book.started("one", "ann")
    assert book.calls() == 1
    book.reserve("ann", 60)
    clock.now += 61
    assert book.calls("ann") == 2
    book.reserve("ann", 60)
    assert book.calls("ann") == 2


def test_a_call_that_is_heard_of_twice_takes_one_place() -> None:
    """The observer may find a call in the service's list before the answer to its offer is here."""
    book = ledger(Clock(), user_calls=5)
    token, offer = book.reserve("ann", 60), book.reserve("ann", 60)
    book.started("one", "ann")
    book.started("one", "ann", reservation=offer)
    assert book.calls("ann") == 1 + token.held
    book.ended("one")
    book.release(token)
    assert book.calls("ann") == 0


def test_minutes_of_a_day() -> None:
    clock = Clock()
    book = ledger(clock, user_minutes_per_day=10)
    book.started("one", "ann")
    clock.now += 300
    assert book.seconds_left("ann") == 300
    assert book.overdue() == []
    book.ended("one")
    book.started("two", "ann")
    clock.now += 300
    assert book.overdue() == ["two"]
    assert refused(book, "ann") == "minutes_used_up"
    assert book.seconds_left("bob") == 600
    book.ended("two")
    assert refused(book, "ann") == "minutes_used_up"
    clock.now += DAY_S + 3600
    assert book.seconds_left("ann") == 600
    book.reserve("ann", 60)


def test_minutes_of_everybody_and_of_before_a_restart() -> None:
    clock = Clock()
    book = ledger(clock, minutes_per_day=10)
    book.used("ann", clock.now - 400, clock.now - 100)
    book.used("bob", clock.now - 400, clock.now - 101)
    assert book.seconds_left("eve") == pytest.approx(1)
    book.used("bob", clock.now - 2, clock.now)
    assert refused(book, "eve") == "minutes_used_up"


def test_a_call_whose_end_nobody_told_is_over_some_time() -> None:
    clock = Clock()
    book = ledger(clock, user_calls=1, user_minutes_per_day=1000)
    book.started("one", "ann")
    clock.now += LONGEST_CALL_S + 1
    book.reserve("ann", 60)
    assert book.seconds_used("ann") == LONGEST_CALL_S


def test_no_budgets_no_bounds() -> None:
    book = ledger(Clock())
    for number in range(1000):
        book.started(str(number), "ann", reservation=book.reserve("ann", 60))
    assert book.seconds_left("ann") is None
    assert book.overdue() == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "start", "start a token's", "end", "release", "wait"]),
        st.sampled_from(["ann", "bob"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(STEPS)
def test_nobody_ever_has_more_calls_than_allowed_and_every_place_comes_back(
    steps: list[tuple[str, str, int]],
) -> None:
    clock = Clock()
    book = ledger(clock, user_calls=3, calls=4)
    held = []
    names: list[str] = []
    count = 0
    for what, user, number in steps:
        match what:
            case "reserve":
                try:
                    held.append(book.reserve(user, 60))
                except AppError:
                    full = book.calls(user) >= 3 or book.calls() >= 4
                    assert full
            case "start" if held:
                place = held.pop(number % len(held))
                # What begins after its place is gone begins all the same: the service has opened it.
                if place.held:
                    count += 1
                    names.append(str(count))
                    book.started(names[-1], place.user, reservation=place)
            case "start a token's" if any(place.held and place.user == user for place in held):
                count += 1
                names.append(str(count))
                book.started(names[-1], user)
            case "end" if names:
                book.ended(names.pop(number % len(names)))
            case "release" if held:
                book.release(held.pop(number % len(held)))
            case "wait":
                clock.now += number * 20
        assert book.calls() <= 4
        assert book.calls("ann") <= 3
        assert book.calls("ann") + book.calls("bob") == book.calls()
    for name in names:
        book.ended(name)
    for place in held:
        book.release(place)
    assert book.calls() == 0
