"""Who may call: pages by their origin, people by key, header or neither, and how often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

from tests.app.rig import StandIn, before, listening
from vivavoz.app.access.addresses import Proxies, parse, shown
from vivavoz.app.config import App, Budgets
from vivavoz.app.errors import SetupError
from vivavoz.app.plan import Plan
from vivavoz.app.service import build, build_app

KEY = "an-operators-key"


@pytest.fixture
async def stand_in() -> StandIn:
    return StandIn()


# ------------------------------------------------------------------------------------------- origins


ORIGINS: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "{url}"}, True),
    ({"Origin": "{url}", "Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": "{url}.evil.example"}, False),
    ({"Origin": "https://friend.example"}, True),
    ({"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"}, True),
    ({"Origin": "http://friend.example"}, False),
    ({"Origin": "https://friend.example.evil.example"}, False),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("headers", "allowed"), ORIGINS)
async def test_pages_of_other_origins_are_kept_out(
    headers: dict[str, str], allowed: bool, method: str, stand_in: StandIn, tmp_path: Path
) -> None:
    async with before(stand_in, tmp_path, origins=["https://friend.example"]) as app:
        sent = {name: value.replace("{url}", app.url) for name, value in headers.items()}
        if method == "GET":
            status = (await app.token(headers=sent))[0]
        else:
            status = (await app.connect(headers=sent))[0]
    assert status == ((200 if method == "GET" else 201) if allowed else 403)
    assert bool(stand_in.asked) == allowed


async def test_a_listed_page_may_read_the_answer_and_no_other(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, origins=["https://friend.example"]) as app:
        asked = {"Origin": "https://friend.example", "Access-Control-Request-Method": "POST"}
        async with app.http.options(f"{app.url}/connect", headers=asked) as preflight:
            assert preflight.status == 204
            assert preflight.headers["Access-Control-Allow-Origin"] == "https://friend.example"
        _, _, headers = await app.connect(headers={"Origin": "https://friend.example"})
        assert headers["Access-Control-Allow-Origin"] == "https://friend.example"
        assert "Location" in headers["Access-Control-Expose-Headers"]
        assert "Origin" in headers["Vary"]
        _, _, headers = await app.connect()
        assert "Access-Control-Allow-Origin" not in headers
        asked["Origin"] = "https://evil.example"
        async with app.http.options(f"{app.url}/connect", headers=asked) as preflight:
            assert preflight.status == 403
            assert "Access-Control-Allow-Origin" not in preflight.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 403), ("localhost", 200), ("127.0.0.1:1", 200), ("[::1]:5", 200), ("a.localhost", 200)],
)
async def test_without_protection_no_foreign_name_leads_here(
    host: str, status: int, stand_in: StandIn, tmp_path: Path
) -> None:
    """A name that is made to point to this machine makes its page "same-origin" (DNS rebinding)."""
    async with before(stand_in, tmp_path) as app:
        sent = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert (await app.token(headers=sent))[0] == status


async def test_a_host_may_be_listed(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, access={"hosts": ["app.example"]}) as app:
        assert (await app.token(headers={"Host": "app.example:8080"}))[0] == 200
    async with before(stand_in, tmp_path, keys=(KEY,), access={"open": True}) as app:
        assert (await app.token(headers={"Host": "app.example"}))[0] == 200


# -------------------------------------------------------------------------------------------- people


async def test_with_a_key_callers_show_it(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, keys=(KEY, "another-key")) as app:
        status, answer, headers = await app.token()
        assert (status, answer["error"]["code"]) == (401, "key_required")
        assert headers["WWW-Authenticate"] == "Bearer"
        assert (await app.connect())[0] == 401
        _, told = await app.get("/api/app")
        assert (told["user"], told["key_required"], told["profiles"]) == (None, True, [])
        assert told["upstream"]["browser_url"] is told["budgets"] is told["default_profile"] is None
        for shown_key in ({"Authorization": f"Bearer {KEY}"}, {"api-key": "another-key"}):
            assert (await app.token(headers=shown_key))[0] == 200
            _, told = await app.get("/api/app", headers=shown_key)
            assert told["user"] == {"name": "key", "operator": True}
            assert not told["key_required"]
        for wrong in ("wrong", "", KEY + "x", KEY[:-1], "é"):
            assert (await app.token(headers={"Authorization": f"Bearer {wrong}"}))[0] == 401
        offered = {"Sec-WebSocket-Protocol": f"vivavoz, vivavoz-key.{KEY}"}
        assert (await app.token(headers=offered))[0] == 200


async def test_open_lets_everybody_talk_and_nobody_operate(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, keys=(KEY,), access={"open": True}) as app:
        assert (await app.token())[0] == 200
        _, told = await app.get("/api/app")
        assert told["user"] == {"name": "anonymous (127.0.0.1)", "operator": False}
        assert (await app.get("/api/profiles"))[0] == 401
        assert (await app.get("/api/profiles", headers={"api-key": KEY}))[0] == 200


HEADER: dict[str, Any] = {"login": "header", "header": "X-User", "operators": ["ann"]}


async def test_a_proxy_says_who_it_is(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, access={**HEADER, "proxies": ["127.0.0.0/8"]}) as app:
        assert (await app.token())[1]["error"]["code"] == "login_required"
        assert (await app.token(headers={"X-User": "  "}))[0] == 401
        assert (await app.token(headers={"X-User": "bob"}))[0] == 200
        assert (await app.get("/api/profiles", headers={"X-User": "bob"}))[1]["error"]["code"] == (
            "operators_only"
        )
        assert (await app.get("/api/profiles", headers={"X-User": "ann"}))[0] == 200
        both = [("X-User", "bob"), ("X-User", "ann")]
        async with app.http.get(f"{app.url}/token", headers=both) as answer:
            assert answer.status == 401


async def test_nobody_else_says_who_they_are(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, access={**HEADER, "proxies": ["10.0.0.0/8"]}) as app:
        assert (await app.token(headers={"X-User": "ann"}))[0] == 401
        sent = {"X-User": "ann", "X-Forwarded-For": "10.1.1.1"}
        assert (await app.token(headers=sent))[0] == 401


async def test_all_users_may_be_operators(stand_in: StandIn, tmp_path: Path) -> None:
    access = {**HEADER, "proxies": ["127.0.0.1"], "operators": ["*"]}
    async with before(stand_in, tmp_path, access=access) as app:
        assert (await app.get("/api/profiles", headers={"X-User": "bob"}))[0] == 200


@pytest.mark.parametrize(
    ("remote", "forwarded", "peer", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "10.0.0.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "10.0.0.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "10.0.0.1", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.1", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1", "10.0.0.1"),
        ("", "6.6.6.6, 203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("", "198.51.100.1, 10.0.0.1", "10.0.0.1", "198.51.100.1"),
        ("", "6.6.6.6, unknown", "None", "None"),
        ("", None, "None", "None"),
    ],
)
def test_addresses_behind_proxies(remote: str, forwarded: str | None, peer: str, client: str) -> None:
    """An empty ``remote`` is our own unix socket, whose relay appends what it saw."""
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    proxies = Proxies(["10.0.0.0/8"])
    assert (str(proxies.peer(request)), str(proxies.client(request))) == (peer, client)


def test_what_is_counted_of_an_address() -> None:
    assert shown(parse("[2001:db8:1:2:3::4]:443")) == "2001:db8:1:2::/64"
    assert shown(parse("::ffff:203.0.113.9")) == "203.0.113.9"
    assert shown(parse("203.0.113.9:51234")) == "203.0.113.9"
    assert shown(parse("::1")) == "::1"
    assert shown(parse("what?")) == "unknown"


# --------------------------------------------------------------------------------------------- rates


async def test_a_user_who_asks_too_often_waits(stand_in: StandIn, tmp_path: Path) -> None:
    access = {**HEADER, "proxies": ["127.0.0.1"]}
    async with before(stand_in, tmp_path, access=access, budgets={"user_per_minute": 3}) as app:
        for _ in range(3):
            assert (await app.token(headers={"X-User": "bob"}))[0] == 200
        status, answer, headers = await app.token(headers={"X-User": "bob"})
        assert (status, answer["error"]["code"]) == (429, "rate_limited")
        assert answer["error"]["type"] == "rate_limit_error"
        assert 1 <= int(headers["Retry-After"]) <= 20
        assert (await app.connect(headers={"X-User": "bob"}))[0] == 429
        assert (await app.token(headers={"X-User": "eve"}))[0] == 200
    assert len(stand_in.asked) == 4


async def test_an_address_that_asks_too_often_waits(stand_in: StandIn, tmp_path: Path) -> None:
    access = {**HEADER, "proxies": ["127.0.0.1"]}
    async with before(stand_in, tmp_path, access=access, budgets={"address_per_minute": 2}) as app:
        one, other = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}
        assert (await app.token(headers={"X-User": "bob", **one}))[0] == 200
        assert (await app.token(headers={"X-User": "eve", **one}))[0] == 200
        assert (await app.token(headers={"X-User": "ann", **one}))[0] == 429
        assert (await app.token(headers={"X-User": "ann", **other}))[0] == 200


async def test_nobody_can_guess_the_key(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, keys=(KEY,), access={"proxies": ["127.0.0.1"]}) as app:
        here, there = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}
        for number in range(30):
            guess = {"Authorization": f"Bearer guess-{number}", **here}
            assert (await app.token(headers=guess))[0] == 401
        status, answer, headers = await app.token(headers={"api-key": KEY, **here})
        assert (status, answer["error"]["code"]) == (429, "too_many_wrong_credentials")
        assert int(headers["Retry-After"]) >= 1
        # Who shows none, or is somewhere else, is not concerned.
        assert (await app.token(headers=here))[0] == 401
        assert (await app.token(headers={"api-key": KEY, **there}))[0] == 200


async def test_one_behind_an_unnamed_proxy_does_not_shut_the_others_out(
    stand_in: StandIn, tmp_path: Path
) -> None:
    async with before(stand_in, tmp_path, keys=(KEY,)) as app:
        for number in range(40):
            guess = {"api-key": f"guess-{number}", "X-Forwarded-For": "203.0.113.9"}
            assert (await app.token(headers=guess))[0] == 401
        assert (await app.token(headers={"api-key": KEY, "X-Forwarded-For": "203.0.113.10"}))[0] == 200


async def test_without_bounds_nobody_waits(stand_in: StandIn, tmp_path: Path) -> None:
    budgets = {"user_per_minute": 0, "address_per_minute": 0}
    async with before(stand_in, tmp_path, budgets=budgets) as app:
        for _ in range(200):
            assert (await app.token())[0] == 200


async def test_calls_at_once_are_bounded(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, budgets={"user_calls": 1}) as app:
        assert (await app.connect())[0] == 201
        status, answer, headers = await app.token()
        assert (status, answer["error"]["code"]) == (429, "too_many_calls")
        assert "Retry-After" in headers
        app.application.ledger.ended("rtc_stand_in")
        assert (await app.token())[0] == 200
        # The token is a call that may come.
        assert (await app.connect())[0] == 429


# ---------------------------------------------------------------------------------- put together safely


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(app=App(endpoint="http://127.0.0.1:1"), state_dir=str(tmp_path), host="0.0.0.0")


async def test_what_others_can_reach_is_protected_or_does_not_start(plan: Plan) -> None:
    with pytest.raises(SetupError, match="VIVAVOZ_APP_KEY"):
        build(plan, {})
    with pytest.raises(SetupError, match="at least 8"):
        build(plan, {"VIVAVOZ_APP_KEY": "short"})
    application = build(plan, {"VIVAVOZ_APP_KEY": "long enough"})
    assert application.access.key_required
    await application.close()


@pytest.fixture
async def shut(plan: Plan) -> AsyncIterator[str]:
    """Beside a service that takes Entra tokens only."""
    application = build(replace(plan, keyless=False), {})
    async with listening(build_app(application)) as url:
        yield url


async def test_a_service_that_is_shut_without_a_key_has_no_operators(shut: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{shut}/token") as answer:
        assert answer.status == 401


async def test_errors_that_nobody_foresaw_say_nothing(
    stand_in: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with before(stand_in, tmp_path) as app:

        async def broken(*args: Any, **options: Any) -> Any:
            raise ValueError("the prompt was: You are Marvin")

        app.application.upstream.mint = broken  # type: ignore[method-assign]
        status, answer, headers = await app.token()
    assert (status, answer["error"]["code"]) == (500, "internal_error")
    assert headers["x-request-id"] in answer["error"]["message"]
    assert headers["x-request-id"] in caplog.text
    assert "ValueError" in caplog.text
    assert "Marvin" not in caplog.text + str(answer)


async def test_unknown_paths_and_methods_are_json_too(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path) as app:
        status, answer = await app.get("/api/nothing")
        assert (status, answer["error"]["code"]) == (404, "unknown_url")
        status, answer = await app.get("/connect")
        assert (status, answer["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("budget", ["user_calls", "calls", "user_minutes_per_day", "minutes_per_day"])
async def test_what_the_observer_counts_needs_the_observer(budget: str, plan: Plan) -> None:
    """Otherwise no call would ever end, and soon nobody could make one."""
    app = App(endpoint="http://127.0.0.1:1", observe=False, budgets=Budgets(**{budget: 1}))
    with pytest.raises(SetupError, match=f"{budget}.*app.observe"):
        build(replace(plan, app=app, host="127.0.0.1"), {})
