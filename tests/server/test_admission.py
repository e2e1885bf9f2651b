"""A worker that cannot keep pace: whom it refuses, what it says, and when it takes calls again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fakes import KEY, OFFER, running
from vivavoz.config import Config
from vivavoz.server.admission import RESUME, Admission
from vivavoz.server.errors import ApiError


class Load:
    def __init__(self, late_ms: float = 0.0, calls: int = 1) -> None:
        self.late_ms, self.calls = late_ms, calls

    def admission(self, bound_ms: float = 20.0) -> Admission:
        return Admission(bound_ms, lambda: self.late_ms, lambda: self.calls)


def test_it_refuses_beyond_the_bound_and_resumes_well_below() -> None:
    load = Load()
    admission = load.admission()
    seen = []
    for late_ms in (0, 20, 21, 15, 11, 10, 15, 20, 30):
        load.late_ms = late_ms
        seen.append(admission.overloaded)
    assert seen == [False, False, True, True, True, False, False, False, True]


def test_the_refusal_says_when_to_come_back() -> None:
    with pytest.raises(ApiError) as refused:
        Load(late_ms=50).admission().check()
    assert refused.value.status == 503
    assert refused.value.code == "server_overloaded"
    assert refused.value.headers == {"Retry-After": "5"}


@given(late_ms=st.lists(st.floats(0, 500), max_size=50))
def test_a_first_call_is_always_taken(late_ms: list[float]) -> None:
    load = Load(calls=0)
    admission = load.admission()
    for load.late_ms in late_ms:
        assert not admission.overloaded


@given(late_ms=st.lists(st.floats(0, 500), max_size=50))
def test_no_bound_refuses_nobody(late_ms: list[float]) -> None:
    load = Load()
    admission = load.admission(bound_ms=0.0)
    for load.late_ms in late_ms:
        assert not admission.overloaded


@given(late_ms=st.lists(st.floats(0, 500), max_size=50))
def test_between_the_bounds_it_does_as_before(late_ms: list[float]) -> None:
    load = Load()
    admission = load.admission()
    before = False
    for load.late_ms in late_ms:
        now = admission.overloaded
        if 20 * RESUME < load.late_ms <= 20:
            assert now == before
        before = now


async def test_callers_are_told_and_so_is_whoever_balances_them() -> None:
    load = Load(late_ms=50)
    async with running(Config(default_engines="scripted")) as server:
        server.service.admission = load.admission()
        headers = {"api-key": KEY, "Content-Type": "application/sdp"}

        async def opened() -> tuple[int, str | None]:
            url = server.url + "/v1/realtime/calls"
            async with server.http.post(url, data=OFFER, headers=headers) as answer:
                return answer.status, answer.headers.get("Retry-After")

        async def ready() -> tuple[int, bool]:
            async with server.http.get(server.url + "/readyz") as answer:
                return answer.status, (await answer.json())["overloaded"]

        assert await opened() == (503, "5")
        assert await ready() == (503, True)
        load.late_ms = 2
        assert await opened() == (201, None)
        assert await ready() == (200, False)
