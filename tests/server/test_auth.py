"""Who is let in: every place a credential may come in, every kind of it, every route."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.server.fakes import KEY, OFFER, Running, running
from vivavoz.config import Config

ROUTES = {
    "secrets": ("POST", "/v1/realtime/client_secrets"),
    "calls": ("POST", "/openai/v1/realtime/calls"),
    "hangup": ("POST", "/v1/realtime/calls/rtc_00000000000000000000000000000000/hangup"),
    "session": ("WS", "/v1/realtime?model=gpt-realtime"),
    "sideband": ("WS", "/v1/realtime?call_id=rtc_00000000000000000000000000000000"),
}


async def ask(server: Running, route: str, **options: Any) -> tuple[int, str | None]:
    """Status and error code. An accepted WebSocket is 101; past the door an unknown call is a 404."""
    method, path = ROUTES[route]
    params = options.pop("params", {})
    url = server.url + path
    if method == "WS":
        try:
            async with server.http.ws_connect(url, params=params, **options):
                return 101, None
        except aiohttp.WSServerHandshakeError as error:
            return error.status, None
    body = OFFER if route == "calls" else None
    headers = {"Content-Type": "application/sdp", **options.pop("headers", {})}
    async with server.http.request(
        method, url, data=body, headers=headers, params=params, **options
    ) as answer:
        if answer.status < 400:
            return answer.status, None
        return answer.status, (await answer.json())["error"]["code"]


async def mint(server: Running, body: dict[str, Any] | None = None) -> str:
    async with server.http.post(
        server.url + "/v1/realtime/client_secrets", json=body or {}, headers={"api-key": KEY}
    ) as answer:
        assert answer.status == 200, await answer.text()
        value: str = (await answer.json())["value"]
        return value


PASSED = {"secrets": 200, "calls": 201, "hangup": 404, "session": 101, "sideband": 404}

PLACES: dict[str, Any] = {
    "bearer": lambda credential: {"headers": {"Authorization": f"Bearer {credential}"}},
    "bearer in small letters": lambda credential: {"headers": {"authorization": f"bearer  {credential}"}},
    "api-key header": lambda credential: {"headers": {"api-key": credential}},
    "query": lambda credential: {"params": {"api-key": credential}},
    "empty bearer beside a good api-key": lambda credential: {
        "headers": {"Authorization": "", "api-key": credential}
    },
    "bearer without value beside a good query": lambda credential: {
        "headers": {"Authorization": "Bearer "},
        "params": {"api-key": credential},
    },
    "subprotocol": lambda credential: {"protocols": ["realtime", f"openai-insecure-api-key.{credential}"]},
}
COMBINATIONS = [
    (place, route)
    for place in PLACES
    for route, (method, _) in ROUTES.items()
    # Subprotocols exist on WebSockets only.
    if place != "subprotocol" or method == "WS"
]


@pytest.mark.parametrize(("place", "route"), COMBINATIONS)
async def test_the_key_opens_everything_from_every_place(place: str, route: str) -> None:
    async with running() as server:
        assert (await ask(server, route, **PLACES[place](KEY)))[0] == PASSED[route]


@pytest.mark.parametrize(("place", "route"), COMBINATIONS)
async def test_a_client_secret_opens_sessions_and_calls_only(place: str, route: str) -> None:
    async with running() as server:
        token = await mint(server)
        status, code = await ask(server, route, **PLACES[place](token))
        if route in ("session", "calls"):
            assert status == PASSED[route]
        else:
            assert status == 401
            assert code in ("api_key_required", None)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "missing_api_key"),
        ({"headers": {"Authorization": "Bearer wrong"}}, "invalid_api_key"),
        ({"headers": {"Authorization": f"Basic {KEY}"}}, "missing_api_key"),
        ({"headers": {"api-key": KEY[:-1]}}, "invalid_api_key"),
        ({"headers": {"api-key": "ek_AAAA"}}, "client_secret_invalid"),
        ({"headers": {"api-key": "ek_!"}}, "client_secret_malformed"),
    ],
)
async def test_bad_credentials_are_refused_with_the_rule_that_failed(
    route: str, options: dict[str, Any], expected: str
) -> None:
    async with running() as server:
        status, code = await ask(server, route, **options)
        assert status == 401
        assert code in ((expected,) if ROUTES[route][0] == "POST" else (None,))


async def test_a_refusal_names_the_place_and_never_the_credential() -> None:
    async with running() as server:
        url = server.url + "/v1/realtime/client_secrets"
        async with server.http.post(url, headers={"api-key": "sesame-sesame"}) as answer:
            text = await answer.text()
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "the api-key header" in text
        assert "sesame" not in text


async def test_without_a_key_anything_from_this_machine_is_let_in() -> None:
    async with running(keys=()) as server:
        for route, status in PASSED.items():
            assert (await ask(server, route))[0] == status
            assert (await ask(server, route, headers={"Authorization": "Bearer whatever"}))[0] == status


async def test_without_a_key_a_bad_client_secret_is_still_refused() -> None:
    async with running(keys=()) as server:
        headers = {"Authorization": "Bearer ek_forged"}
        assert (await ask(server, "calls", headers=headers))[0] == 401


async def test_any_of_several_keys_is_good() -> None:
    async with running(keys=(KEY, "another")) as server:
        for key in (KEY, "another"):
            assert (await ask(server, "secrets", headers={"api-key": key}))[0] == 200


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (["realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.0"], "realtime"),
        ([f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1", "realtime"], "realtime"),
        ([f"openai-insecure-api-key.{KEY}"], None),
    ],
)
async def test_realtime_is_answered_if_and_only_if_it_was_offered(
    offered: list[str], answered: str | None
) -> None:
    async with (
        running(Config(default_engines="scripted")) as server,
        server.http.ws_connect(server.url + "/v1/realtime?model=m", protocols=offered) as websocket,
    ):
        assert websocket.protocol == answered


async def test_a_client_secret_uses_the_tokens_of_who_minted_it() -> None:
    async with running(keys=(KEY, "another")) as server:
        token = await mint(server)
        for credential in (KEY, "another", token):
            headers = {"Authorization": f"Bearer {credential}"}
            assert await ask(server, "calls", headers=headers) == (201, None)
        first, second, minted = [call.account for call in server.calls.opened]
        assert first != second
        assert minted == first
