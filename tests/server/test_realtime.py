"""``GET /realtime``: sessions and sidebands."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.server.fakes import KEY, OFFER, FakeCall, Running, running
from tests.waiting import until
from vivavoz.config import Config, Limits
from vivavoz.server import bodies, protocol

AUTH = {"Authorization": f"Bearer {KEY}"}


async def refused(server: Running, path: str, **options: Any) -> int:
    """Status of a refused handshake."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        await server.http.ws_connect(server.url + path, headers=AUTH, **options)
    return raised.value.status


def message_of(data: str) -> str:
    text: str = json.loads(data)["error"]["message"]
    return text


async def a_call(server: Running) -> FakeCall:
    headers = {**AUTH, "Content-Type": "application/sdp"}
    async with server.http.post(server.url + "/v1/realtime/calls", data=OFFER, headers=headers) as answer:
        assert answer.status == 201
    return server.calls.opened[-1]


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("?model=mine", "mine"),
        ("?api-version=2025-08-28&deployment=mine", "mine"),
        ("?intent=conversation&model=mine&x=%00", "mine"),
        ("", None),
        ("?model=", None),
    ],
)
async def test_a_session(prefix: str, query: str, model: str | None) -> None:
    async with running() as server:
        async with server.http.ws_connect(f"{server.url}{prefix}/realtime{query}", headers=AUTH) as websocket:
            assert message_of(await websocket.receive_str()) == "hello"
            await websocket.send_str("x" * 5)
            assert message_of(await websocket.receive_str()) == "str:5"
            await websocket.send_bytes(b"abc")
            assert message_of(await websocket.receive_str()) == "bytes:3"
            (call,) = server.calls.opened
            assert call.model == model
        await call.closed.wait()
        assert len(server.calls) == 0


async def test_the_session_of_a_token_needs_nothing_else() -> None:
    async with running() as server:
        body = {"session": {"type": "realtime", "model": "mine", "instructions": "Be brief."}}
        url = server.url + "/v1/realtime/client_secrets"
        async with server.http.post(url, json=body, headers=AUTH) as answer:
            minted = await answer.json()
        protocols = ["realtime", "openai-insecure-api-key." + minted["value"]]
        async with server.http.ws_connect(server.url + "/v1/realtime", protocols=protocols):
            (call,) = server.calls.opened
            assert (call.model, call.session_id) == ("mine", minted["session"]["id"])
            assert call.session is not None
            assert call.session.instructions == "Be brief."


async def test_the_close_code_and_reason_are_the_calls() -> None:
    async with (
        running() as server,
        server.http.ws_connect(server.url + "/v1/realtime?model=m", headers=AUTH) as websocket,
    ):
        await websocket.receive_str()
        await websocket.send_str("stop")
        message = await websocket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert message.extra == "Your session hit the maximum duration of 60 minutes."


async def test_a_plain_get_is_told_to_upgrade() -> None:
    async with running() as server:
        async with server.http.get(server.url + "/v1/realtime?model=m", headers=AUTH) as answer:
            assert answer.status == 426
            assert (await answer.json())["error"]["code"] == "upgrade_required"
        call = await a_call(server)
        async with server.http.get(f"{server.url}/v1/realtime?call_id={call.id}", headers=AUTH) as answer:
            assert answer.status == 426
        assert len(server.calls.opened) == 1


@pytest.mark.parametrize("headers", [{"Sec-WebSocket-Version": "99"}, {"Sec-WebSocket-Key": "short"}, {}])
async def test_a_broken_handshake_leaves_no_call(headers: dict[str, str]) -> None:
    async with running() as server:
        headers = {**AUTH, "Upgrade": "websocket", "Connection": "Upgrade", **headers}
        async with server.http.get(server.url + "/v1/realtime?model=m", headers=headers) as answer:
            assert answer.status == 400
            assert "message" in (await answer.json())["error"]
        assert len(server.calls) == 0


async def test_an_event_beyond_the_limit_closes_only_its_connection() -> None:
    config = Config(default_engines="scripted", limits=Limits(event_bytes=1024))
    async with running(config) as server:
        url = server.url + "/v1/realtime?model=m"
        async with (
            server.http.ws_connect(url, headers=AUTH) as large,
            server.http.ws_connect(url, headers=AUTH) as other,
        ):
            await large.receive_str()
            await other.receive_str()
            await large.send_str("x" * (1024 * 4 // 3 + 64 * 1024 - 1))
            assert message_of(await large.receive_str()).startswith("str:")
            await large.send_str("x" * (1024 * 4 // 3 + 64 * 1024))
            assert (await large.receive()).data == 1009
            await other.send_str("still here")
            assert message_of(await other.receive_str()) == "str:10"


async def test_compression_is_not_taken_up() -> None:
    async with (
        running() as server,
        server.http.ws_connect(server.url + "/v1/realtime?model=m", headers=AUTH, compress=15) as websocket,
    ):
        assert websocket.compress == 0
        await websocket.receive_str()


async def test_a_client_that_vanishes_ends_its_call() -> None:
    async with running() as server:
        websocket = await server.http.ws_connect(server.url + "/v1/realtime?model=m", headers=AUTH)
        await websocket.receive_str()
        (call,) = server.calls.opened
        transport = websocket._response.connection.transport  # type: ignore[union-attr]
        transport.abort()
        async with asyncio.timeout(60):
            await call.closed.wait()
        await websocket.close()


# --------------------------------------------------------------------------- sidebands


async def test_sidebands_join_and_leave_without_ending_the_call() -> None:
    async with running() as server:
        call = await a_call(server)
        url = f"{server.url}/openai/v1/realtime?call_id={call.id}&model=ignored"
        async with (
            server.http.ws_connect(url, headers=AUTH) as first,
            server.http.ws_connect(url, headers=AUTH) as second,
        ):
            for websocket in (first, second):
                await websocket.send_str("12345")
                assert message_of(await websocket.receive_str()) == "str:5"
        assert [each.transport.kind for each in call.attachments] == ["sideband", "sideband"]
        assert not call.closed.is_set()


async def test_a_sideband_is_closed_when_its_call_ends() -> None:
    async with running() as server:
        call = await a_call(server)
        url = f"{server.url}/v1/realtime?call_id={call.id}"
        async with server.http.ws_connect(url, headers=AUTH) as websocket:
            await websocket.send_str("x")
            await websocket.receive_str()
            call.hangup("over")
            message = await websocket.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1000, "over")
        # An ended call is as unknown as one that never was.
        assert await refused(server, f"/v1/realtime?call_id={call.id}") == 404


@pytest.mark.parametrize("call_id", ["", "rtc_" + "0" * 32, "sess_1", "rtc_../x", "r" * 3000])
async def test_unknown_calls(call_id: str) -> None:
    async with running() as server:
        assert await refused(server, f"/v1/realtime?call_id={call_id}") == 404


async def test_sidebands_are_bounded_and_counted_down() -> None:
    config = Config(default_engines="scripted", limits=Limits(sidebands=1))
    async with running(config) as server:
        call = await a_call(server)
        path = f"/v1/realtime?call_id={call.id}"
        async with server.http.ws_connect(server.url + path, headers=AUTH):
            assert await refused(server, path) == 429
        await until(lambda: not server.service.sidebands)
        async with server.http.ws_connect(server.url + path, headers=AUTH):
            pass


# --------------------------------------------------------------------------- what is no HTTP


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/realtime?api-key=sesame HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    ],
)
async def test_malformed_requests_get_json_and_leave_no_key_in_the_log(
    raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        assert "sesame" not in caplog.text


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
async def test_half_a_request_does_not_hold_a_connection(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "KEEPALIVE_S", 0.05)
    async with running() as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(said)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("path", ["client_secrets", "calls"])
async def test_a_body_that_does_not_come(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.05)
    async with running() as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /v1/realtime/{path} HTTP/1.1\r\nHost: localhost\r\napi-key: {KEY}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\nv=0".encode())
        assert await reader.readline() == b"HTTP/1.1 408 Request Timeout\r\n"
        writer.close()


async def test_unknown_urls_and_methods() -> None:
    async with running() as server:
        async with server.http.get(server.url + "/v2/x?api-key=sesame") as answer:
            assert answer.status == 404
            error = (await answer.json())["error"]
            assert error["message"] == "Unknown request URL: GET /v2/x."
            assert answer.headers["x-request-id"]
        async with server.http.delete(server.url + "/v1/realtime/client_secrets") as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "POST"
            assert (await answer.json())["error"]["code"] == "method_not_allowed"
