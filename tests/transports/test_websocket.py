"""A WebSocket as a transport: order, bounds, sound formats, and every way it can end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import math
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.waiting import until
from vivavoz.media.g711 import PCMA, PCMU
from vivavoz.transports import websocket as module
from vivavoz.transports.websocket import WebSocketTransport
from vivavoz.wire.options import PCM, AudioFormat
from vivavoz.wire.server_events import Error, ErrorEvent, OutputAudioDelta


def an_event(text: str) -> ErrorEvent:
    return ErrorEvent(
        event_id="event_1", error=Error(type="t", code=None, message=text, param=None, event_id=None)
    )


def a_delta(pcm: bytes, item: str = "item_1") -> OutputAudioDelta:
    return OutputAudioDelta(
        event_id="event_1", response_id="resp_1", item_id=item, output_index=0, content_index=0, delta=pcm
    )


class Recorder:
    """An attachment that remembers."""

    call_id = "rtc_1"

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.is_lost = asyncio.Event()

    def ready(self) -> None:
        self.calls.append("ready")

    def received(self, data: str | bytes) -> None:
        self.calls.append(data)

    def lost(self, reason: str) -> None:
        self.calls.append(("lost", reason))
        self.is_lost.set()

    def refused(self, error: Any) -> None:
        raise AssertionError("these tests speak GA")

    def audio(self, pcm: bytes) -> None:
        raise AssertionError("a WebSocket carries no media")

    def playing(self, tag: str) -> None:
        raise AssertionError("a WebSocket plays nothing")

    def played(self, played: Any) -> None:
        raise AssertionError("a WebSocket plays nothing")


class Pair:
    """The transport and the client's end of its connection."""

    def __init__(self, transport: WebSocketTransport, recorder: Recorder, url: str) -> None:
        self.transport = transport
        self.recorder = recorder
        self.url = url
        self.client: aiohttp.ClientWebSocketResponse


@contextlib.asynccontextmanager
async def joined(*, client: bool = True, **options: Any) -> AsyncIterator[Pair]:
    """``client`` False: nobody reads at the other end (a bare socket)."""
    made: asyncio.Future[tuple[WebSocketTransport, Recorder]] = asyncio.get_running_loop().create_future()

    async def handler(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(timeout=2.0)
        await websocket.prepare(request)
        assert request.transport is not None
        recorder = Recorder()
        transport = WebSocketTransport(websocket, abort=request.transport.abort, **options)
        made.set_result((transport, recorder))
        await transport.run(recorder)
        return websocket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as http:
            if client:
                websocket = await http.ws_connect(url, max_msg_size=0)
                pair = Pair(*await made, url)
                pair.client = websocket
                yield pair
                await websocket.close()
            else:
                raw = a_deaf_peer(runner.addresses[0][1])
                yield Pair(*await made, url)
                raw.close()
    finally:
        await runner.cleanup()


def a_deaf_peer(port: int) -> socket.socket:
    """Completes the handshake and then reads nothing, through the smallest buffer there is."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", port))
    raw.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    return raw


async def message(pair: Pair) -> str:
    text: str = json.loads(await pair.client.receive_str())["error"]["message"]
    return text


async def test_events_leave_in_order_as_text() -> None:
    async with joined() as pair:
        for number in range(100):
            pair.transport.send(an_event(str(number)))
        assert [await message(pair) for _ in range(100)] == [str(number) for number in range(100)]


async def test_what_arrives_is_handed_on_as_it_came() -> None:
    async with joined() as pair:
        await pair.client.send_str("text")
        await pair.client.send_bytes(b"\x00\xff")
        await until(lambda: len(pair.recorder.calls) == 3)
        assert pair.recorder.calls == ["ready", "text", b"\x00\xff"]


async def test_what_is_queued_leaves_before_the_close() -> None:
    async with joined() as pair:
        pair.transport.send(an_event("last words"))
        pair.transport.close(1001, "Your session hit the maximum duration of 60 minutes.")
        pair.transport.send(an_event("too late"))
        pair.transport.close(1011, "another reason")
        assert await message(pair) == "last words"
        closing = await pair.client.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1001)
        assert closing.extra == "Your session hit the maximum duration of 60 minutes."
        async with asyncio.timeout(60):
            await pair.recorder.is_lost.wait()
        assert pair.recorder.calls[-1][0] == "lost"


async def test_a_long_reason_is_cut_at_a_whole_character() -> None:
    async with joined() as pair:
        pair.transport.close(1000, "é" * 100)
        assert (await pair.client.receive()).extra == "é" * 61


async def test_the_client_closes() -> None:
    async with joined() as pair:
        await pair.client.close(code=1000)
        async with asyncio.timeout(60):
            await pair.recorder.is_lost.wait()
        assert pair.recorder.calls[-1] == ("lost", "closed by the client (1000)")
        pair.transport.send(an_event("into the void"))
        pair.transport.close(1000, "again")


async def test_the_client_vanishes() -> None:
    async with joined() as pair:
        connection = pair.client._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        async with asyncio.timeout(60):
            await pair.recorder.is_lost.wait()


async def test_too_many_events_close_it_with_1013() -> None:
    async with joined(outbox_events=3) as pair:
        for number in range(10):
            pair.transport.send(an_event(str(number)))
        # None of what waited is sent late: the client has to begin anew anyway.
        closing = await pair.client.receive()
        assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1013)


async def test_too_many_bytes_close_it_with_1013() -> None:
    async with joined(outbox_bytes=1000) as pair:
        pair.transport.send(an_event("x" * 2000))
        assert (await pair.client.receive()).data == 1013


async def test_a_peer_that_reads_nothing_is_dropped_and_delays_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_GOODBYE_S", 0.05)
    async with joined(client=False, outbox_bytes=100_000) as pair, joined() as other:
        for _ in range(2000):
            pair.transport.send(an_event("x" * 10_000))
            # The writer gets its turn, as between the events of a real call.
            await asyncio.sleep(0)
            if pair.transport._closing is not None:
                break
        assert pair.transport._closing == (1013, "The connection reads too slowly.")
        other.transport.send(an_event("unharmed"))
        assert await message(other) == "unharmed"
        async with asyncio.timeout(60):
            await pair.recorder.is_lost.wait()
        assert not pair.transport._outbox


async def test_a_handler_that_is_cancelled_tells_its_call() -> None:
    async with joined() as pair:
        recorder = pair.recorder
        await until(lambda: recorder.calls == ["ready"])
        await pair.client.close()
    assert recorder.calls[-1][0] == "lost"


# --------------------------------------------------------------------------- sound


def tone(ms: int) -> bytes:
    samples = [int(8000 * math.sin(2 * math.pi * 440 * n / 24000)) for n in range(24 * ms)]
    return struct.pack(f"<{len(samples)}h", *samples)


async def sound_of(pair: Pair, count: int) -> bytes:
    events = [json.loads(await pair.client.receive_str()) for _ in range(count)]
    assert {event["type"] for event in events} == {"response.output_audio.delta"}
    return b"".join(base64.b64decode(event["delta"]) for event in events)


@pytest.mark.parametrize("output_format", [None, PCM])
async def test_pcm_goes_out_as_it_is(output_format: AudioFormat | None) -> None:
    async with joined() as pair:
        pair.transport.send(a_delta(tone(40)), output_format)
        assert await sound_of(pair, 1) == tone(40)


@pytest.mark.parametrize(("name", "law"), [("audio/pcmu", PCMU), ("audio/pcma", PCMA)])
async def test_g711_is_one_stream_an_item(name: Any, law: Any) -> None:
    async with joined() as pair:
        whole = tone(200)
        cuts = [0, 1002, 1004, 4444, len(whole)]
        for start, end in itertools.pairwise(cuts):
            pair.transport.send(a_delta(whole[start:end]), AudioFormat(type=name))
        # The second piece is shorter than an 8 kHz sample: no event of its own.
        coded = await sound_of(pair, 3)
        assert len(coded) == 200 * 8
        decoded = struct.unpack(f"<{len(coded)}h", law.decode(coded))
        assert 7000 < max(decoded[400:]) < 9000
        pair.transport.send(a_delta(tone(20), "item_2"), AudioFormat(type=name))
        assert len(await sound_of(pair, 1)) == 160


async def test_a_sideband_gets_no_sound() -> None:
    async with joined(kind="sideband") as pair:
        pair.transport.send(a_delta(tone(20)))
        pair.transport.send(an_event("next"))
        assert await message(pair) == "next"
        assert pair.transport.kind == "sideband"


async def test_playout_is_the_clients() -> None:
    async with joined() as pair:
        pair.transport.send(a_delta(tone(20)))
        pair.transport.end_audio("resp_1")
        assert pair.transport.flush() == []
        assert pair.transport.queued_ms == 0
