"""Wrong credentials are bounded, by address."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from tests.server.fakes import KEY, OFFER, running
from vivavoz.server.errors import ApiError
from vivavoz.server.guesses import Guesses

WRONG = ApiError(401, "wrong", code="invalid_api_key")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def request(address: str | None, **headers: str) -> Any:
    made = make_mocked_request("GET", "/", headers=headers)
    return made.clone(remote=address) if address else made


def refused(guesses: Guesses, address: str, **headers: str) -> ApiError | None:
    try:
        guesses.check(request(address, **headers))
    except ApiError as error:
        return error
    return None


def test_a_minutes_worth_and_then_as_it_fills_up_again() -> None:
    clock = Clock()
    guesses = Guesses(6, clock=clock)
    for _ in range(6):
        assert refused(guesses, "192.0.2.1") is None
        guesses.note(request("192.0.2.1"), WRONG)
    error = refused(guesses, "192.0.2.1")
    assert error is not None
    assert (error.status, error.headers["Retry-After"]) == (429, "10")
    assert refused(guesses, "192.0.2.2") is None
    clock.now += 9.9
    assert refused(guesses, "192.0.2.1") is not None
    clock.now += 0.2
    assert refused(guesses, "192.0.2.1") is None


@pytest.mark.parametrize("code", ["missing_api_key", "client_secret_expired", "client_secret_revoked"])
def test_what_guesses_nothing_is_not_counted(code: str) -> None:
    guesses = Guesses(1, clock=Clock())
    for _ in range(5):
        guesses.note(request("192.0.2.1"), ApiError(401, "no", code=code))
    assert refused(guesses, "192.0.2.1") is None


def test_a_site_counts_as_one_address() -> None:
    guesses = Guesses(1, clock=Clock())
    guesses.note(request("2001:db8::1"), WRONG)
    assert refused(guesses, "2001:db8::2:3") is not None
    assert refused(guesses, "2001:db8:0:1::1") is None
    guesses.note(request("::ffff:192.0.2.1"), WRONG)
    assert refused(guesses, "192.0.2.1") is not None


def test_a_proxy_is_not_shut_out_for_one_of_its_clients() -> None:
    guesses = Guesses(1, clock=Clock())
    for address in ("10.0.0.1", "127.0.0.1"):
        guesses.note(request(address, **{"X-Forwarded-For": "203.0.113.9"}), WRONG)
        assert refused(guesses, address, **{"X-Forwarded-For": "203.0.113.9"}) is None
    # From elsewhere the header is anybody's to write.
    guesses.note(request("8.8.8.8", **{"X-Forwarded-For": "10.0.0.1"}), WRONG)
    assert refused(guesses, "8.8.8.8", **{"X-Forwarded-For": "1.2.3.4"}) is not None


def test_it_remembers_so_many_and_can_be_off() -> None:
    guesses = Guesses(1, clock=Clock())
    for number in range(10_050):
        guesses.note(request(f"10.0.{number // 250}.{number % 250}"), WRONG)
    assert len(guesses._left) == 10_000
    assert refused(guesses, "10.0.0.1") is None
    assert refused(guesses, "10.0.40.1") is not None
    off = Guesses(0)
    off.note(request("10.0.0.1"), WRONG)
    assert refused(off, "10.0.0.1") is None


async def test_over_http() -> None:
    async with running() as server:
        server.service.auth._guesses = Guesses(3, clock=Clock())
        url = server.url + "/v1/realtime/calls"
        statuses = []
        for key in ("a", "b", "", "ek_c", "d", KEY):
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
            async with server.http.post(url, data=OFFER, headers=headers) as answer:
                statuses.append(answer.status)
                if answer.status == 429:
                    assert answer.headers["Retry-After"] == "20"
                    assert (await answer.json())["error"]["code"] == "too_many_wrong_credentials"
        assert statuses == [401, 401, 401, 401, 429, 429]
