"""``/token`` and ``/connect``: what the service is asked, and what callers get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.app.rig import ANSWER, EK, OFFER, PROMPT, UPSTREAM_KEY, StandIn, before
from vivavoz.app.grants import label_of, read_label
from vivavoz.app.observer.ports import CallInfo

UPSTREAMS = ("vivavoz", "azure", "openai")

PROFILES = f"""
[profiles.default]
title = "The help desk"
record = true

[profiles.default.session]
instructions = "{PROMPT}"
audio.output.voice = "marin"

[profiles.other]
session.model = "another-deployment"
grant = {{ max_seconds = 120, max_calls = 3 }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profiles.toml").write_text(PROFILES)
    return tmp_path


@pytest.fixture
async def stand_in() -> StandIn:
    return StandIn()


def form(body: bytes, kind: str) -> dict[str, bytes]:
    """The parts of a form, by name."""
    boundary = kind.partition("boundary=")[2].strip('"').encode()
    parts = {}
    for piece in body.split(b"--" + boundary)[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        parts[head.partition(b'name="')[2].partition(b'"')[0].decode()] = content[:-2]
    return parts


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_token_comes_with_where_to_use_it_and_nothing_else(
    upstream: str, stand_in: StandIn, folder: Path
) -> None:
    async with before(stand_in, folder, upstream=upstream) as app:
        status, answer, headers = await app.token()
        base = app.application.config.endpoint
    paths = {
        "vivavoz": "/v1/realtime/calls?webrtcfilter=on",
        "azure": "/openai/v1/realtime/calls?webrtcfilter=on",
        "openai": "/v1/realtime/calls",
    }
    assert status == 200
    assert answer == {
        "token": EK,
        "endpoint": f"{base}{paths[upstream]}",
        "deployment": "effective-model",
    }
    assert headers["Cache-Control"] == "no-store"
    (asked,) = stand_in.requests("/client_secrets")
    body = msgspec.json.decode(asked.body)
    assert body["session"] == {
        "type": "realtime",
        "model": "a-deployment",
        "instructions": PROMPT,
        "audio": {"output": {"voice": "marin"}},
    }
    assert body["expires_after"] == {"anchor": "created_at", "seconds": 60}
    if upstream == "azure":
        assert asked.headers["api-key"] == UPSTREAM_KEY
        assert "Authorization" not in asked.headers
    else:
        assert asked.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"


async def test_our_own_service_is_told_what_a_token_allows(stand_in: StandIn, folder: Path) -> None:
    async with before(stand_in, folder) as app:
        await app.token()
        await app.token("other")
    first, second = (msgspec.json.decode(each.body)["grant"] for each in stand_in.requests("/client_secrets"))
    assert first == {"filter": "on", "max_calls": 1, "label": "default:local"}
    assert second == {"filter": "on", "max_calls": 3, "max_seconds": 120, "label": "other:local"}


async def test_an_offer_goes_to_our_own_service_with_the_key_and_the_grant(
    stand_in: StandIn, folder: Path
) -> None:
    async with before(stand_in, folder) as app:
        assert (await app.connect(profile="other"))[0] == 201
    (asked,) = stand_in.asked
    assert asked.path == "/v1/realtime/calls"
    assert asked.query == {"webrtcfilter": "on"}
    assert asked.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    parts = form(asked.body, asked.headers["Content-Type"])
    assert parts["sdp"].decode() == OFFER
    assert msgspec.json.decode(parts["session"])["model"] == "another-deployment"
    assert msgspec.json.decode(parts["grant"]) == {
        "filter": "on",
        "max_seconds": 120,
        "label": "other=local",
    }


async def test_an_offer_goes_to_azure_bare_and_with_a_token_that_no_browser_sees(
    stand_in: StandIn, folder: Path
) -> None:
    async with before(stand_in, folder, upstream="azure") as app:
        status, answer, headers = await app.connect()
    minted, called = stand_in.asked
    assert minted.path == "/openai/v1/realtime/client_secrets"
    assert called.path == "/openai/v1/realtime/calls"
    assert called.query == {"webrtcfilter": "on"}
    assert called.headers["Authorization"] == f"Bearer {EK}"
    assert called.headers["Content-Type"] == "application/sdp"
    assert "api-key" not in called.headers
    assert called.body.decode() == OFFER
    assert (status, answer) == (201, ANSWER)
    assert EK not in str(headers)


async def test_an_offer_goes_to_openai_as_a_form_without_a_filter(stand_in: StandIn, folder: Path) -> None:
    async with before(stand_in, folder, upstream="openai") as app:
        assert (await app.connect())[0] == 201
    (asked,) = stand_in.asked
    assert asked.query == {}
    parts = form(asked.body, asked.headers["Content-Type"])
    assert sorted(parts) == ["sdp", "session"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_a_call_is_answered_and_observed(upstream: str, stand_in: StandIn, folder: Path) -> None:
    seen: list[CallInfo] = []
    async with before(stand_in, folder, upstream=upstream) as app:
        app.application.started = seen.append
        app.application.recordings = True
        status, answer, headers = await app.connect()
    assert (status, answer) == (201, ANSWER)
    assert headers["Content-Type"].startswith("application/sdp")
    assert headers["Location"] == "/api/calls/rtc_stand_in"
    (info,) = seen
    assert (info.call_id, info.upstream, info.profile) == ("rtc_stand_in", upstream, "default")
    assert (info.user, info.origin, info.record) == ("local", "connect", True)
    assert info.filtered == ("off" if upstream == "openai" else "on")
    assert info.browser_reads_session == (upstream == "openai")


async def test_an_observer_that_fails_does_not_fail_the_call(stand_in: StandIn, folder: Path) -> None:
    def broken(info: CallInfo) -> None:
        raise RuntimeError(PROMPT)

    async with before(stand_in, folder) as app:
        app.application.started = broken
        assert (await app.connect())[0] == 201


async def test_a_call_without_a_name_is_answered_all_the_same(stand_in: StandIn, folder: Path) -> None:
    stand_in.fail("/calls", aiohttp.web.Response(status=201, text=ANSWER))
    seen: list[Any] = []
    async with before(stand_in, folder, budgets={"calls": 1}) as app:
        app.application.started = seen.append
        status, _, headers = await app.connect()
        assert (status, "Location" in headers, seen) == (201, False, [])
        assert (await app.connect())[0] == 201


@pytest.mark.parametrize(
    ("upstream", "filtered", "token", "connect"),
    [
        ("vivavoz", "on", False, False),
        ("vivavoz", "strict", False, False),
        ("vivavoz", "off", True, True),
        ("azure", "on", True, False),
        ("azure", "off", True, True),
        ("openai", "on", True, True),
    ],
)
async def test_who_can_read_the_session_is_said(
    upstream: str,
    filtered: str,
    token: bool,
    connect: bool,
    stand_in: StandIn,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with before(stand_in, folder, upstream=upstream, filter=filtered) as app:
        _, answer = await app.get("/api/app")
    assert answer["browser_reads_session"] == {"token": token, "connect": connect}
    lines = [
        record.getMessage() for record in caplog.records if "can read the session" in record.getMessage()
    ]
    assert len(lines) == (1 if token or connect else 0)
    for line in lines:
        assert ("/token" in line, "/connect" in line) == (token, connect)


async def test_what_the_page_is_told(stand_in: StandIn, folder: Path) -> None:
    recordings = {"enabled": True, "notice": "This call is recorded."}
    async with before(stand_in, folder, upstream="azure", recordings=recordings) as app:
        app.application.recordings = True
        status, answer = await app.get("/api/app")
        _, profiles = await app.get("/api/profiles")
    assert status == 200
    assert answer["user"] == {"name": "local", "operator": True}
    assert [each["name"] for each in answer["profiles"]] == ["default", "other"]
    assert answer["profiles"][0]["title"] == "The help desk"
    assert (answer["default_profile"], answer["filter"]) == ("default", "on")
    assert (answer["notice"], answer["recordings"]) == ("This call is recorded.", True)
    assert answer["engines"] is None
    assert answer["upstream"]["browser_url"].endswith("/openai/v1/realtime/calls")
    assert not answer["upstream"]["abilities"]["lists_calls"]
    assert PROMPT not in str(answer)
    assert profiles["profiles"][0]["session"]["instructions"] == PROMPT


async def test_tokens_can_be_switched_off(stand_in: StandIn, folder: Path) -> None:
    async with before(stand_in, folder, tokens=False) as app:
        assert (await app.token())[0] == 404
        assert (await app.connect())[0] == 201


async def test_a_profile_that_is_not_there(stand_in: StandIn, folder: Path) -> None:
    async with before(stand_in, folder) as app:
        status, answer, _ = await app.token("nobody")
        assert (status, answer["error"]["code"]) == (404, "profile_not_found")
        assert (await app.connect(profile="nobody"))[0] == 404
    assert stand_in.asked == []


BOUNDARY = "abc"
PART = '--abc\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
BAD_OFFERS: dict[str, tuple[str, str, int, str]] = {
    "no field": ("form", PART.format("offer", OFFER) + "--abc--\r\n", 400, "missing_required_parameter"),
    "an empty form": ("form", "--abc--\r\n", 400, "missing_required_parameter"),
    "nothing": ("form", "", 400, "invalid_multipart"),
    "cut short": ("form", PART.format("sdp", OFFER)[:-30], 400, "invalid_multipart"),
    "twice": ("form", PART.format("sdp", OFFER) * 2 + "--abc--\r\n", 400, "invalid_multipart"),
    "many parts": ("form", PART.format("x", "y") * 20 + "--abc--\r\n", 400, "invalid_multipart"),
    "no SDP": ("form", PART.format("sdp", "hello") + "--abc--\r\n", 400, "invalid_offer"),
    "empty": ("form", PART.format("sdp", "") + "--abc--\r\n", 400, "invalid_offer"),
    "too long": ("form", PART.format("sdp", "v=0" + "x" * 70_000) + "--abc--\r\n", 413, "request_too_large"),
    "much too long": ("form", PART.format("x", "x" * 200_000) + "--abc--\r\n", 413, "request_too_large"),
    "JSON": ("application/json", '{"sdp": "v=0"}', 415, "unsupported_content_type"),
    "bare, no SDP": ("application/sdp", "hello", 400, "invalid_offer"),
    "bare, too long": ("application/sdp", "v=0" + "x" * 70_000, 413, "request_too_large"),
}


@pytest.mark.parametrize("name", BAD_OFFERS)
async def test_a_bad_offer_is_refused_by_name_and_the_service_is_not_asked(
    name: str, stand_in: StandIn, folder: Path
) -> None:
    kind, body, status, code = BAD_OFFERS[name]
    kind = f"multipart/form-data; boundary={BOUNDARY}" if kind == "form" else kind
    async with (
        before(stand_in, folder, budgets={"calls": 1}) as app,
        app.http.post(f"{app.url}/connect", data=body.encode(), headers={"Content-Type": kind}) as answer,
    ):
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (status, code)
        assert error["message"]
        assert app.application.ledger.calls() == 0
    assert stand_in.asked == []


async def test_a_bare_offer_is_taken_too(stand_in: StandIn, folder: Path) -> None:
    async with (
        before(stand_in, folder) as app,
        app.http.post(
            f"{app.url}/connect", data=OFFER.encode(), headers={"Content-Type": "application/sdp"}
        ) as answer,
    ):
        assert answer.status == 201


@pytest.mark.parametrize(
    ("upstream", "origin", "filtered", "reads"),
    [
        ("vivavoz", "token", "on", False),
        ("vivavoz", "adopted", "off", True),
        ("vivavoz", "adopted", None, False),
        ("azure", "connect", None, False),
        ("azure", "token", None, True),
        ("azure", "adopted", None, True),
        ("openai", "connect", None, True),
    ],
)
async def test_what_is_known_of_a_call_says_who_reads_its_session(
    upstream: str, origin: Any, filtered: Any, reads: bool, stand_in: StandIn, folder: Path
) -> None:
    async with before(stand_in, folder, upstream=upstream) as app:
        info = app.application.call_info("rtc_1", user="ann", origin=origin, filtered=filtered)
    assert info.browser_reads_session == reads
    assert info.record is False


async def test_more_observers_than_requests_at_once_stop_no_request(stand_in: StandIn, folder: Path) -> None:
    """Their connections last as long as calls do."""
    held: list[aiohttp.ClientWebSocketResponse] = []
    async with before(stand_in, folder) as app:
        http = app.application.upstream._http  # type: ignore[attr-defined]
        http._connections = 2
        stand_in.observed = True
        for _ in range(5):
            held.append(await app.application.upstream.observe("rtc_stand_in"))  # noqa: PERF401
        assert (await app.token())[0] == 200
        for each in held:
            await each.close()


@pytest.mark.parametrize("origin", ["token", "connect"])
@pytest.mark.parametrize("user", ["ann", "a:b=c", "anonymous (2001:db8::/64)", "ana@example.com"])
def test_whose_a_call_is_can_be_read_off_its_label(user: str, origin: Any) -> None:
    assert read_label(label_of("desk-2", user, origin)) == ("desk-2", user, origin)


@pytest.mark.parametrize("label", [None, "", "somebody's own label", ":ann", "desk:", "a b:c"])
def test_labels_of_others_are_theirs(label: str | None) -> None:
    assert read_label(label) is None


def test_a_label_is_never_too_long() -> None:
    assert len(label_of("p" * 40, "u" * 500, "token")) == 120
