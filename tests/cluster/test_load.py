"""Which worker takes a new call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.test_relay import AUTH, two_workers
from tests.cluster.test_two_workers import AUTH as REAL_AUTH
from tests.cluster.test_two_workers import two
from tests.server.fakes import OFFER
from tests.server.test_end_to_end import OFFER as REAL_OFFER
from tests.waiting import until
from vivavoz.cluster.directory import Elsewhere, Here, WorkerDirectory, worker_tag
from vivavoz.cluster.load import STALE_S, Load, LoadBoard, PlaceByLoad


class Workers:
    """Several, each with its own view of the shared page; time is given by hand."""

    def __init__(self, folder: Path, count: int) -> None:
        self.now = 100.0
        self.tags = [worker_tag(index) for index in range(count)]
        self.sockets = {tag: folder / f"{tag}.sock" for tag in self.tags}
        self.calls = dict.fromkeys(self.tags, 0)
        self.takes = dict.fromkeys(self.tags, True)
        self.boards = [LoadBoard(folder / "load") for _ in self.tags]
        self.placements = {
            tag: PlaceByLoad(
                board, WorkerDirectory(tag, self.sockets), lambda tag=tag: self.load(tag), lambda: self.now
            )
            for tag, board in zip(self.tags, self.boards, strict=True)
        }
        self.say()

    def load(self, tag: str) -> Load:
        return Load(self.calls[tag], self.takes[tag])

    def say(self, *tags: str) -> None:
        self.now += 0.01
        for tag in tags or self.tags:
            self.placements[tag]._say()

    def place(self, at: str) -> str:
        """The tag of the worker where a call that asks at ``at`` goes."""
        try:
            self.placements[at].place("m").send(None)
        except StopIteration as done:
            place = done.value
        chosen = at if isinstance(place, Here) else place.socket.stem
        assert isinstance(place, Here | Elsewhere)
        self.calls[chosen] += 1
        return chosen


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path, 3)
    yield made
    for board in made.boards:
        board.close()


def test_a_call_goes_where_there_are_fewest_and_stays_where_there_are_no_fewer(workers: Workers) -> None:
    workers.calls.update({"00": 2, "01": 2, "02": 1})
    workers.say()
    assert workers.place("00") == "02"
    workers.say()
    assert workers.place("00") == "00"
    assert workers.place("01") == "01"


def test_many_at_one_worker_are_spread_before_the_others_say_anything(workers: Workers) -> None:
    assert Counter(workers.place("00") for _ in range(30)) == {"00": 10, "01": 10, "02": 10}


def test_who_takes_no_calls_is_sent_none_and_sends_its_own_away(workers: Workers) -> None:
    workers.takes["00"] = workers.takes["02"] = False
    workers.calls["01"] = 50
    workers.say()
    assert [workers.place("00") for _ in range(3)] == ["01"] * 3
    assert workers.place("01") == "01"
    workers.takes["01"] = False
    workers.say()
    assert workers.place("00") == "00", "which says why there is no place"


def test_a_worker_that_says_nothing_is_gone(workers: Workers) -> None:
    workers.calls["00"] = 5
    workers.now += STALE_S
    workers.say("00", "02")
    assert {workers.place("00") for _ in range(4)} == {"02"}


def test_a_page_that_nobody_has_written_names_nobody(tmp_path: Path) -> None:
    board = LoadBoard(tmp_path / "load")
    assert board.said("01").load == Load(0, False)
    board.close()


@given(st.lists(st.integers(0, 2), max_size=60))
def test_no_worker_gets_two_more_than_another(
    tmp_path_factory: pytest.TempPathFactory, asked: list[int]
) -> None:
    """Whoever is asked, if all say between two calls how many they have."""
    workers = Workers(tmp_path_factory.mktemp("load"), 3)
    for at in asked:
        workers.place(workers.tags[at])
        workers.say()
        assert max(workers.calls.values()) - min(workers.calls.values()) <= 1
    for board in workers.boards:
        board.close()


async def test_a_worker_that_has_just_gone_costs_no_call(tmp_path: Path) -> None:
    class AtTheOther:
        async def place(self, model: str) -> Elsewhere:
            return Elsewhere(tmp_path / "gone.sock")

        async def keep_saying(self) -> None: ...

    async with two_workers(tmp_path) as (one, _):
        one.service.placement = AtTheOther()
        headers = {**AUTH, "Content-Type": "application/sdp"}
        async with one.http.post(one.url + "/v1/realtime/calls", data=OFFER, headers=headers) as answer:
            assert answer.status == 201
            assert answer.headers["Location"].endswith(one.calls.opened[0].id)


async def test_two_whole_workers_share_what_comes_to_one(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, _), aiohttp.ClientSession(headers=REAL_AUTH) as http:
        board = LoadBoard(tmp_path / "load")
        await until(lambda: all(board.said(tag).load.takes for tag in ("00", "01")))
        board.close()
        headers = {"Content-Type": "application/sdp"}
        places: Counter[str] = Counter()
        for _ in range(6):
            url = one + "/v1/realtime/calls"
            async with http.post(url, data=REAL_OFFER, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
                places[answer.headers["Location"].rpartition("rtc_")[2][:2]] += 1
        assert min(places["00"], places["01"]) >= 2
