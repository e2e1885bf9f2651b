"""A service without a key answers this machine's own pages and programs, and nobody else."""

from __future__ import annotations

import aiohttp
import pytest

from tests.server.fakes import OFFER, running
from vivavoz.config import Config, Server
from vivavoz.server.guard import binds_loopback_only, is_loopback_name

LISTED = Config(
    default_engines="scripted",
    server=Server(allowed_hosts=("voice.test",), allowed_origins=("https://app.test",)),
)

CASES = [
    ({}, True),
    ({"Host": "localhost:8080"}, True),
    ({"Host": "LOCALHOST"}, True),
    ({"Host": "page.localhost"}, True),
    ({"Host": "[::1]:8080"}, True),
    ({"Host": "127.3.2.1"}, True),
    ({"Host": "voice.test"}, True),
    ({"Host": "voice.test:8080"}, True),
    ({"Origin": "http://localhost:3000"}, True),
    ({"Origin": "https://127.0.0.1"}, True),
    ({"Origin": "https://app.test"}, True),
    ({"Host": "evil.example"}, False),
    ({"Host": "192.168.1.7:8080"}, False),
    ({"Host": "127.0.0.1.evil.example"}, False),
    ({"Host": "localhost.evil.example"}, False),
    ({"Host": "[::1"}, False),
    ({"Host": ""}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://app.test"}, False),
    ({"Origin": "file://localhost"}, False),
    ({"Origin": "http://localhost.evil.example"}, False),
]


@pytest.mark.parametrize(("headers", "allowed"), CASES)
@pytest.mark.parametrize(
    "path", ["/healthz", "/v1/realtime/client_secrets", "/v1/realtime/calls", "/nowhere"]
)
async def test_requests(path: str, headers: dict[str, str], allowed: bool) -> None:
    async with running(LISTED, keys=()) as server:
        method = "POST" if "realtime" in path else "GET"
        body = OFFER if path.endswith("calls") else None
        headers = {"Content-Type": "application/sdp", **headers}
        async with server.http.request(method, server.url + path, data=body, headers=headers) as answer:
            assert (answer.status != 403) is allowed
            if not allowed:
                error = (await answer.json())["error"]
                assert error["code"] in ("host_not_allowed", "origin_not_allowed")


@pytest.mark.parametrize(("headers", "allowed"), CASES)
async def test_websockets(headers: dict[str, str], allowed: bool) -> None:
    async with running(LISTED, keys=()) as server:
        url = server.url + "/v1/realtime"
        if allowed:
            async with server.http.ws_connect(url, headers=headers) as websocket:
                await websocket.receive_str()
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await server.http.ws_connect(url, headers=headers)
        assert bool(server.calls.opened) is allowed


async def test_with_a_key_the_key_is_what_counts() -> None:
    async with running() as server:
        headers = {
            "Host": "voice.example.org",
            "Origin": "https://elsewhere.example",
            "api-key": "test-key-123",
        }
        async with server.http.post(server.url + "/v1/realtime/client_secrets", headers=headers) as answer:
            assert answer.status == 200


def test_names() -> None:
    assert is_loopback_name("127.0.0.1")
    assert is_loopback_name("::ffff:127.0.0.1")
    assert not is_loopback_name("0.0.0.0")
    assert not is_loopback_name("::")
    assert not is_loopback_name("")
    assert binds_loopback_only("localhost")
    assert not binds_loopback_only("0.0.0.0")
    assert not binds_loopback_only("")
    assert not binds_loopback_only("no-such-host.invalid")
