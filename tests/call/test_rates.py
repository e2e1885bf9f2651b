"""Tokens per minute: the buckets, and calls that draw from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.call.test_call import play, text_turn
from tests.call.transports import FakeTransport
from vivavoz.call import rates
from vivavoz.call.rates import Left, TokenRates
from vivavoz.call.registry import CallRegistry
from vivavoz.call.settings import CallSettings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_up_again_within_a_minute() -> None:
    clock = Clock()
    all_of_them = TokenRates(600, clock)
    mine = all_of_them.of("me")
    assert mine.spend(0) == Left(600, 600, 0.0)
    assert mine.spend(150) == Left(600, 450, 15.0)
    clock.now += 5
    assert mine.spend(0) == Left(600, 500, 10.0)
    assert mine.refusal() is None
    clock.now += 10
    assert mine.spend(0) == Left(600, 600, 0.0)
    assert len(all_of_them) == 0


def test_what_was_taken_too_much_has_to_come_back_first() -> None:
    clock = Clock()
    mine = TokenRates(600, clock).of("me")
    assert mine.spend(700) == Left(600, 0, 70.0)
    refusal = mine.refusal()
    assert refusal is not None
    assert "Limit 600" in refusal
    assert "in 10.1s" in refusal
    clock.now += 10.2
    assert mine.refusal() is None


def test_accounts_do_not_share() -> None:
    both = TokenRates(100, Clock())
    assert both.of("a").spend(100).remaining == 0
    assert both.of("b").spend(10).remaining == 90


def test_no_more_buckets_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_ACCOUNTS", 3)
    many = TokenRates(100, Clock())
    for n in range(1, 6):
        many.of(str(n)).spend(n)
    assert len(many) == 3
    # Who used the least is forgotten first.
    assert [many.of(str(n)).spend(0).remaining for n in range(1, 6)] == [100, 100, 97, 96, 95]


@given(st.lists(st.tuples(st.integers(0, 2_000), st.floats(0, 120)), max_size=30))
def test_it_never_holds_more_than_the_limit_nor_less_than_nothing(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    mine = TokenRates(1_000, clock).of("me")
    for tokens, later in steps:
        left = mine.spend(tokens)
        assert 0 <= left.remaining <= left.limit == 1_000
        assert left.reset_seconds >= 0
        assert (mine.refusal() is None) == (left.remaining > 0)
        clock.now += later


Scene = Callable[[CallRegistry], Awaitable[None]]


def limited(scene: Scene, *, tells: bool = True) -> None:
    play(scene, CallSettings(tokens_per_minute=50, tells_rate_limits=tells))


def test_a_call_that_has_used_its_tokens_waits_for_more() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime", account="a"))
        text_turn(client, "word " * 60)
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        (told,) = (await client.until("rate_limits.updated"))["rate_limits"]
        assert (told["name"], told["limit"], told["remaining"]) == ("tokens", 50, 0)
        assert client.types().index("rate_limits.updated") == client.types().index("response.done") + 1
        client.say("response.create")
        failed = (await client.until("response.done", 2))["response"]
        assert (failed["status"], failed["status_details"]["error"]["type"]) == ("failed", "rate_limit_error")
        # The other calls of the account have none either; another account's do.
        same = FakeTransport().join(calls.open(None, "gpt-realtime", account="a"))
        other = FakeTransport().join(calls.open(None, "gpt-realtime", account="b"))
        for each, status in ((same, "failed"), (other, "completed")):
            text_turn(each, "hello")
            assert (await each.until("response.done"))["response"]["status"] == status

    limited(scene)


def test_the_limit_holds_where_it_is_not_told() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        text_turn(client, "word " * 60)
        await client.until("response.done")
        client.say("response.create")
        assert (await client.until("response.done", 2))["response"]["status"] == "failed"
        assert "rate_limits.updated" not in client.types()

    limited(scene, tells=False)


def test_without_a_limit_nothing_is_told() -> None:
    async def scene(calls: CallRegistry) -> None:
        client = FakeTransport().join(calls.open(None, "gpt-realtime"))
        text_turn(client, "hello")
        await client.until("response.done")
        client.say("session.update", session={"type": "realtime"})
        await client.until("session.updated")
        assert "rate_limits.updated" not in client.types()

    play(scene)
