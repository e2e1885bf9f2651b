"""Ids: the same seed, the same ids; no seed, counted; never one twice."""

from __future__ import annotations

import re

from vivavoz.session.ids import Ids


def test_an_empty_seed_counts_each_prefix() -> None:
    ids = Ids(seed=b"")
    assert [ids.next("item"), ids.next("resp"), ids.next("item")] == ["item_1", "resp_1", "item_2"]


def test_a_seed_makes_ids_like_the_hosted_services_and_the_same_ones_again() -> None:
    one, two, other = Ids(seed=b"a"), Ids(seed=b"a"), Ids(seed=b"b")
    made = [one.next("item") for _ in range(1_000)]
    assert made == [two.next("item") for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert other.next("item") not in made
    assert all(re.fullmatch(r"item_[A-Za-z0-9]{21}", id_) for id_ in made)


def test_two_sources_do_not_share_their_counts() -> None:
    assert (Ids(seed=b"").next("item"), Ids(seed=b"").next("item")) == ("item_1", "item_1")


def test_jobs_are_numbered_once() -> None:
    ids = Ids(seed=b"a")
    ids.next("item")
    assert [ids.job(), ids.job(), ids.job()] == [1, 2, 3]
