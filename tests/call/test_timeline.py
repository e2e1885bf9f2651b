"""Where sound lies in a call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vivavoz.call.timeline import ClientPlayout, Timeline


def test_samples_lie_end_to_end_whatever_the_network_does() -> None:
    track = Timeline(slack=2400)
    assert track.place(1000, 480) == 1000
    # Too early, too late, much too early: it is one sound.
    assert [track.place(begins, 480) for begins in (1400, 3000, 0)] == [1480, 1960, 2440]


def test_after_a_pause_the_clock_says_where() -> None:
    track = Timeline(slack=2400)
    track.place(0, 480)
    assert track.place(480 + 2401, 480) == 2881
    assert track.place(-5, 10) == 2881 + 480


def playout(limit: int = 1_000_000) -> tuple[ClientPlayout, list[tuple[int, int]]]:
    dropped: list[tuple[int, int]] = []
    return ClientPlayout(limit, lambda position, samples: dropped.append((position, samples))), dropped


def test_what_was_sent_is_heard_in_real_time() -> None:
    client, _ = playout()
    client.add(100, "a", bytes(range(20)))
    assert list(client.due(100)) == []
    assert list(client.due(104)) == [(100, bytes(range(8)))]
    client.add(105, "b", b"bb")
    assert list(client.due(1000)) == [(104, bytes(range(8, 20))), (110, b"bb")]
    client.add(2000, "b", b"cc")
    assert list(client.due(3000)) == [(2000, b"cc")]
    assert not client.waiting


def test_a_truncation_takes_away_what_was_not_heard() -> None:
    client, _ = playout()
    client.add(0, "a", b"11223344")
    client.add(0, "a", b"55667788")
    client.add(0, "b", b"next")
    assert list(client.due(2)) == [(0, b"1122")]
    client.truncate("a", 5)
    # Samples 2..4 of the item are left; the next item follows them at once.
    assert list(client.due(100)) == [(2, b"3344"), (4, b"55"), (5, b"next")]


def test_a_truncation_of_something_else_takes_nothing() -> None:
    client, _ = playout()
    client.add(0, "a", b"1122")
    client.truncate("b", 0)
    assert list(client.due(2)) == [(0, b"1122")]


def test_it_is_bounded() -> None:
    client, dropped = playout(limit=4)
    client.add(0, "a", b"11223344")
    client.add(0, "a", b"5566")
    assert dropped == [(4, 2)]
    assert b"".join(pcm for _, pcm in client.due(100)) == b"11223344"


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["add", "due", "cut"]), st.integers(0, 9))))
def test_no_sample_is_heard_twice_or_before_its_time(steps: list[tuple[int, str, int]]) -> None:
    client, _ = playout()
    now, end = 0, 0
    for ahead, what, size in steps:
        now += ahead
        if what == "add":
            client.add(now, "item", b"xx" * size)
        elif what == "cut":
            client.truncate("item", size)
        else:
            for position, pcm in client.due(now):
                assert end <= position
                end = position + len(pcm) // 2
                assert end <= now
