"""Nonsense from one client: it gets the protocol's own error or a clean end, and the others talk on."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from faults.conftest import KEY, Calls
from running import Running

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}
TEN_MB = b"v=0\r\n" + b"a=x\r\n" * 2_000_000
NO_AUDIO = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sctp-port:5000",
        "",
    ]
)


async def _post(
    service: Running, path: str, data: Any, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{service.url}/v1/{path}", data=data, headers=headers) as response,
    ):
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("path", "data", "headers", "status", "code"),
    [
        ("realtime/calls", b"\x00\xff garbage", SDP, 400, "invalid_offer"),
        ("realtime/calls", "v=0\r\nthis is no SDP", SDP, 400, "invalid_offer"),
        ("realtime/calls", NO_AUDIO, SDP, 400, "invalid_offer"),
        ("realtime/calls", TEN_MB, SDP, 413, "request_too_large"),
        ("realtime/client_secrets", TEN_MB, {"Content-Type": "application/json"}, 413, "request_too_large"),
        ("realtime/client_secrets", b'{"session": {"type"', {"Content-Type": "application/json"}, 400, None),
        (
            "realtime/client_secrets",
            b'{"session": {"type": "realtime", "audio": {"output": {"speed": "fast"}}}}',
            {"Content-Type": "application/json"},
            400,
            None,
        ),
    ],
    ids=["bytes", "text", "no audio", "10 MB offer", "10 MB body", "truncated JSON", "wrong type"],
)
async def test_a_bad_request_is_refused_in_json(
    service: Running,
    calls: Calls,
    path: str,
    data: Any,
    headers: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    other = await calls.talker()

    answered, body = await _post(service, path, data, {**AUTHORIZED, **headers})

    assert answered == status
    assert body["error"]["message"]
    assert code is None or body["error"]["code"] == code
    await other.talks_on()


def _forged(service: Running) -> list[str]:
    """Tokens that were not made here, or were changed on the way."""
    token = service.mint()
    middle = len(token) // 2
    flipped = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    return ["ek_", "ek_" + "A" * 200, token[:-4], flipped, "ek_" + "é" * 20]


async def test_forged_tokens_open_nothing(service: Running, calls: Calls) -> None:
    other = await calls.talker()
    for token in await asyncio.to_thread(_forged, service):
        value = token.encode("utf-8").decode("latin-1")
        status, body = await _post(
            service, "realtime/calls", "v=0\r\n", {"Authorization": f"Bearer {value}", **SDP}
        )
        assert status == 401, token
        assert body["error"]["code"], token
    await other.talks_on()


@asynccontextmanager
async def _websocket(service: Running) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{service.websocket_url}/realtime?model=gpt-realtime", headers=AUTHORIZED) as socket,
    ):
        assert (await socket.receive_json(timeout=60))["type"] == "session.created"
        yield socket


async def _error_to(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    event = await socket.receive_json(timeout=60)
    assert event["type"] == "error", event
    return dict(event["error"])


BAD_EVENTS = {
    "truncated JSON": '{"type": "response.create"',
    "no JSON": "hello",
    "a list": "[1, 2]",
    "no type": "{}",
    "unknown type": '{"type": "response.destroy"}',
    "wrong type within": '{"type": "session.update", "session": {"type": "realtime", "audio": 7}}',
    "deep": "[" * 100_000,
    "no base64": '{"type": "input_audio_buffer.append", "audio": "%%%"}',
    "odd audio": json.dumps(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"abc").decode()}
    ),
}


@pytest.mark.parametrize("text", BAD_EVENTS.values(), ids=BAD_EVENTS)
async def test_a_bad_event_is_one_error_and_the_session_lives(
    service: Running, calls: Calls, text: str
) -> None:
    other = await calls.talker()
    async with _websocket(service) as socket:
        await socket.send_str(text)
        assert (await _error_to(socket))["message"]

        await socket.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await socket.receive_json(timeout=60))["type"] == "session.updated"
    await other.talks_on()


async def test_a_binary_frame_is_an_error_or_an_end_and_no_more(service: Running, calls: Calls) -> None:
    other = await calls.talker()
    async with _websocket(service) as socket:
        await socket.send_bytes(b"\x00\x01\x02")
        answer = await socket.receive(timeout=60)
        if answer.type is aiohttp.WSMsgType.TEXT:
            assert json.loads(answer.data)["type"] == "error"
        else:
            assert answer.type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1003
    await other.talks_on()


@pytest.mark.parametrize("text", BAD_EVENTS.values(), ids=BAD_EVENTS)
async def test_a_bad_event_on_a_data_channel_is_one_error(calls: Calls, text: str) -> None:
    caller = await calls.connect()
    before = len(caller.peer.events)

    caller.peer.send_text(text)
    await caller.peer.wait_for("error")

    assert len(caller.peer.events) == before + 1
    assert await caller.next_turn_works()


async def test_noise_on_the_media_port_disturbs_nobody(service: Running, calls: Calls) -> None:
    """Datagrams of every kind that RFC 7983 tells apart, from nobody."""
    other = await calls.talker()
    port = other.caller.peer.remote_port
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
    )
    try:
        for first in range(256):
            for size in (0, 1, 20, 1200):
                transport.sendto(bytes([first]) * size)
    finally:
        transport.close()
    await other.talks_on()
