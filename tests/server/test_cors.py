"""What a browser on another origin may do: open calls with a client secret, and read how that went."""

from __future__ import annotations

import pytest

from tests.server.fakes import KEY, OFFER, running
from vivavoz.config import Config, Limits

ELSEWHERE = {"Origin": "https://app.example"}
PREFIXES = ["/v1", "/openai/v1"]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_preflight_needs_no_credential(prefix: str) -> None:
    async with running() as server:
        headers = {
            **ELSEWHERE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk,x-mine, b d",
        }
        async with server.http.options(f"{server.url}{prefix}/realtime/calls", headers=headers) as answer:
            assert answer.status == 204
            allowed = answer.headers["Access-Control-Allow-Headers"]
            assert allowed == "authorization, content-type, x-openai-agents-sdk, x-mine"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": f"Bearer {KEY}"}, OFFER, 201),
        ({}, OFFER, 401),
        ({"Authorization": f"Bearer {KEY}"}, "nonsense", 400),
        ({"Authorization": f"Bearer {KEY}"}, OFFER + "broken", 400),
        ({"Authorization": f"Bearer {KEY}"}, OFFER + "explode", 500),
        ({"Authorization": f"Bearer {KEY}"}, OFFER + "x" * 2000, 413),
        ({"Authorization": f"Bearer {KEY}", "Content-Type": "image/png"}, OFFER, 415),
    ],
)
async def test_answers_and_errors_alike_can_be_read(
    prefix: str, headers: dict[str, str], body: str, status: int
) -> None:
    config = Config(default_engines="scripted", limits=Limits(sdp_bytes=1500))
    async with running(config) as server:
        headers = {"Content-Type": "application/sdp", **ELSEWHERE, **headers}
        url = f"{server.url}{prefix}/realtime/calls"
        async with server.http.post(url, data=body, headers=headers) as answer:
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Access-Control-Expose-Headers"] == "Location, X-Request-Id"
            assert answer.headers["x-request-id"].startswith("req_")


async def test_even_a_wrong_method_can_be_read() -> None:
    async with running() as server, server.http.put(server.url + "/v1/realtime/calls") as answer:
        assert answer.status == 405
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "path", ["/v1/realtime/client_secrets", "/v1/realtime/calls/rtc_1/hangup", "/healthz", "/nowhere"]
)
async def test_the_rest_is_not_for_pages_elsewhere(path: str) -> None:
    async with running() as server:
        headers = {**ELSEWHERE, "api-key": KEY}
        for method in ("POST", "GET", "OPTIONS"):
            async with server.http.request(method, server.url + path, headers=headers) as answer:
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]
