"""Which worker a call id leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoz.cluster.directory import Elsewhere, Here, LocalDirectory, PlaceHere, WorkerDirectory, worker_tag

SOCKETS = {"00": Path("/run/00.sock"), "01": Path("/run/01.sock")}


def call_id(tag: str) -> str:
    return f"rtc_{tag}{'a' * (32 - len(tag))}"


async def test_the_tag_says_where() -> None:
    directory = WorkerDirectory("00", SOCKETS)
    assert await directory.find(call_id("00")) == Here()
    assert await directory.find(call_id("01")) == Elsewhere(SOCKETS["01"])
    assert await directory.find(call_id("02")) is None


@pytest.mark.parametrize(
    "wrong", ["", "rtc_", "01" + "a" * 30, call_id("01") + "a", call_id("01").upper(), "rtc_../01"]
)
async def test_what_is_no_call_id_is_nowhere(wrong: str) -> None:
    assert await WorkerDirectory("00", SOCKETS).find(wrong) is None
    assert await LocalDirectory().find(wrong) is None


async def test_one_worker_has_them_all() -> None:
    assert await LocalDirectory().find(call_id("7f")) == Here()
    assert await PlaceHere().place("any") == Here()


def test_tags() -> None:
    assert [worker_tag(index) for index in (0, 1, 255)] == ["00", "01", "ff"]
    for wrong in (-1, 256):
        with pytest.raises(ValueError, match="number"):
            worker_tag(wrong)
