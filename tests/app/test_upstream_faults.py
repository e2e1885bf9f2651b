"""What callers are told when the service behind fails, and that it is tried again only where that is safe."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from aiohttp import web

from tests.app.rig import EK, OFFER, PROMPT, UPSTREAM_KEY, StandIn, before, refused, serving
from tests.waiting import until
from vivavoz.app.plan import Plan, Service
from vivavoz.app.service import build

UPSTREAMS = ("vivavoz", "azure", "openai")


@pytest.fixture
async def stand_in() -> StandIn:
    return StandIn()


REFUSALS = {
    "401": (refused(401, "401"), 502, "upstream_credential_refused"),
    "403": (refused(403, None), 502, "upstream_forbidden"),
    "deployment": (refused(404, "DeploymentNotFound"), 502, "DeploymentNotFound"),
    "model": (refused(404, "model_not_found"), 502, "DeploymentNotFound"),
    "404": (web.Response(status=404), 502, "upstream_not_found"),
    "429": (refused(429, "rate_limit_exceeded", {"Retry-After": "17"}), 429, "upstream_rate_limited"),
    "quota": (refused(429, "insufficient_quota"), 429, "upstream_quota"),
    "session": (refused(400, "invalid_value"), 502, "upstream_refused"),
    "500": (web.Response(status=500, text=f"<h1>{PROMPT}</h1>"), 502, "upstream_failed"),
    "503": (refused(503, "engine_loading", {"Retry-After": "9"}), 503, "upstream_unavailable"),
    "redirect": (
        web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        502,
        "upstream_failed",
    ),
    "HTML": (web.Response(text="<h1>hello</h1>"), 502, "upstream_answer"),
    "empty": (web.json_response({"value": ""}), 502, "upstream_answer"),
    "no token": (web.json_response([]), 502, "upstream_answer"),
    "endless": (web.Response(text="x" * 2_000_000), 502, "upstream_broke_off"),
}


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_says_what_failed_and_repeats_nothing(
    name: str, upstream: str, stand_in: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given, status, code = REFUSALS[name]

    def again() -> web.Response:
        return web.Response(status=given.status, body=given.body, headers=given.headers)

    async with before(stand_in, tmp_path, upstream=upstream, budgets={"calls": 1}) as app:
        stand_in.fail("/client_secrets", again(), again())
        found, answer, headers = await app.token()
        assert (found, answer["error"]["code"]) == (status, code)
        assert answer["error"]["type"] in ("server_error", "rate_limit_error")
        if "Retry-After" in given.headers:
            assert headers["Retry-After"] == given.headers["Retry-After"]
        stand_in.faults.clear()
        # The place in the budget is free again.
        assert (await app.token())[0] == 200
    shown = f"{answer}{dict(headers)}{caplog.text}"
    assert PROMPT not in shown
    assert UPSTREAM_KEY not in shown
    assert EK not in caplog.text


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_an_offer_that_the_service_cannot_use(upstream: str, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.fail("/calls", refused(400, "invalid_offer"))
    async with before(stand_in, tmp_path, upstream=upstream) as app:
        status, text, _ = await app.connect()
    assert status == 400
    assert '"code":"invalid_offer"' in text
    assert PROMPT not in text


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_service_that_is_down(upstream: str, stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path, upstream=upstream) as app:
        config = app.application.config
    key = {"AZURE_OPENAI_API_KEY": "k", "OPENAI_API_KEY": "k"}
    async with serving(config, tmp_path, environment=key) as app:
        status, answer, headers = await app.token()
        assert (status, answer["error"]["code"]) == (502, "upstream_unreachable")
        assert headers["Retry-After"] == "5"
        status, text, _ = await app.connect()
        assert (status, "upstream_unreachable" in text) == (502, True)


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_service_that_is_slow(upstream: str, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.fail("/client_secrets", "hang", "hang")
    stand_in.fail("/calls", "hang")
    async with before(stand_in, tmp_path, upstream=upstream) as app:
        app.application.upstream._http._request_s = 0.1  # type: ignore[attr-defined]
        status, answer, _ = await app.token()
        assert (status, answer["error"]["code"]) == (504, "upstream_slow")
        # Slow once is slow again: a second wait would only be longer.
        assert len(stand_in.requests("/client_secrets")) == 1
        stand_in.faults.pop("/client_secrets")
        status, text, _ = await app.connect()
        assert (status, "upstream_slow" in text) == (504, True)
        stand_in.released.set()


async def test_a_token_is_asked_for_again_where_that_may_help(stand_in: StandIn, tmp_path: Path) -> None:
    async with before(stand_in, tmp_path) as app:
        for passing in (web.Response(status=502), "break", refused(503, None, {"Retry-After": "1"})):
            stand_in.asked.clear()
            stand_in.fail("/client_secrets", passing)
            assert (await app.token())[0] == 200
            assert len(stand_in.asked) == 2
        for lasting in (refused(503, None, {"Retry-After": "30"}), refused(429, None), refused(400, "x")):
            stand_in.asked.clear()
            stand_in.fail("/client_secrets", lasting)
            assert (await app.token())[0] in (429, 502, 503)
            assert len(stand_in.asked) == 1


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_call_that_may_have_begun_is_not_opened_twice(
    upstream: str, stand_in: StandIn, tmp_path: Path
) -> None:
    async with before(stand_in, tmp_path, upstream=upstream) as app:
        for broken in (web.Response(status=502), "break"):
            stand_in.fail("/calls", broken)
            status, text, _ = await app.connect()
            assert status == 502
            assert "upstream_" in text
    assert len(stand_in.requests("/calls")) == 2


async def test_a_caller_who_leaves_frees_their_place(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.fail("/calls", "hang")
    async with before(stand_in, tmp_path, budgets={"calls": 1}) as app:
        ledger = app.application.ledger
        leaving = asyncio.create_task(app.connect(OFFER))
        await until(lambda: stand_in.asked)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        assert len(stand_in.asked) == 1
        stand_in.released.set()
        async with asyncio.timeout(60):
            while ledger.calls():  # noqa: ASYNC110 - the end of a handler cannot be waited for
                await asyncio.sleep(0.01)
        assert (await app.connect())[0] == 201


async def test_two_workers_are_asked_in_turn_and_one_that_is_gone_is_passed_over(
    stand_in: StandIn, tmp_path: Path
) -> None:
    runner = web.AppRunner(stand_in.app(), access_log=None)
    await runner.setup()
    here, gone = str(tmp_path / "here.sock"), str(tmp_path / "gone.sock")
    await web.UnixSite(runner, here).start()
    plan = Plan(state_dir=str(tmp_path), service=Service(sockets=(gone, here), key=UPSTREAM_KEY))
    upstream = build(plan, {}).upstream
    try:
        for _ in range(4):
            secret = await upstream.mint({"type": "realtime"}, seconds=60, grant=None)
            assert secret.value == EK
            answer = await upstream.connect(OFFER, {"type": "realtime"}, filtered="on", grant=None)
            assert answer.call_id == "rtc_stand_in"
        assert upstream.browser_url == "/v1/realtime/calls"
    finally:
        await upstream.close()
        await runner.cleanup()


async def test_a_strict_service_of_our_own_is_spoken_to_as_azure_is(
    stand_in: StandIn, tmp_path: Path
) -> None:
    runner = web.AppRunner(stand_in.app(), access_log=None)
    await runner.setup()
    here = str(tmp_path / "here.sock")
    await web.UnixSite(runner, here).start()
    service = Service(sockets=(here,), key=UPSTREAM_KEY, strict_azure=True)
    upstream = build(Plan(state_dir=str(tmp_path), service=service), {}).upstream
    try:
        assert (await upstream.connect(OFFER, {"type": "realtime"}, filtered="on", grant=None)).call_id
        assert [each.path for each in stand_in.asked] == [
            "/openai/v1/realtime/client_secrets",
            "/openai/v1/realtime/calls",
        ]
        assert stand_in.asked[1].headers["Content-Type"] == "application/sdp"
        assert upstream.browser_url == "/openai/v1/realtime/calls"
        assert not upstream.abilities.binds_filter
    finally:
        await upstream.close()
        await runner.cleanup()
