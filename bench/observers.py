"""What an observer costs a call: the log of its events where nobody asks, both voices where one does.

CPU of this process for the seconds of a call that are simulated: 50 frames of 20 ms each way, 20 events a
second for the log, and the sound through a WebSocket to a reader. The reader is in this process too, and what
it costs is counted: the true figures are lower.
"""

from __future__ import annotations

import asyncio
from time import process_time
from typing import Any

import aiohttp
from aiohttp import web

from bench import rig
from vivavoz.call.observers import Observers
from vivavoz.call.watching import StageWatch
from vivavoz.transports.websocket import WebSocketTransport
from vivavoz.wire.extensions import Observing, Track
from vivavoz.wire.server_events import OutputAudioTranscriptDelta

GOAL = 0.3
"""Per cent of a core, of a call whose voices are both heard."""
FRAME = bytes(960)
FRAMES_A_SECOND = 50
EVENTS_A_SECOND = 20


def run(*, quick: bool = False) -> dict[str, Any]:
    seconds = 60 if quick else 600
    logged = asyncio.run(_seconds(seconds, ()))
    heard = asyncio.run(_seconds(seconds, ("caller", "assistant")))
    figures = {"log": 100 * logged / seconds, "both voices": 100 * (heard - logged) / seconds}
    rig.table(
        "what an observer costs a call (% of a core)",
        ["", "CPU", "goal"],
        [["log of events, always", figures["log"], ""], ["both voices heard", figures["both voices"], GOAL]],
    )
    rig.write("observers", figures)
    return figures


class _Client:
    """The call's own, on a media path of ours."""

    kind = "webrtc"

    def monitor(self, heard: Any) -> None:
        self.heard = heard


async def _seconds(seconds: int, tracks: tuple[Track, ...]) -> float:
    """CPU time (s) of so many seconds of a call."""

    async def sideband(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(compress=False)
        await websocket.prepare(request)
        assert request.transport is not None
        transport = WebSocketTransport(websocket, "sideband", abort=request.transport.abort)
        async with asyncio.TaskGroup() as group:
            group.create_task(transport.run(_Nobody()))
            await _call(transport, seconds, tracks)
            transport.close(1000, "over")
        return websocket

    app = web.Application()
    app.router.add_get("/", sideband)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    read = 0
    began = process_time()
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as reader:
        async for message in reader:
            read += len(message.data) - 9
        spent = process_time() - began
    await runner.cleanup()
    assert read == seconds * FRAMES_A_SECOND * len(FRAME) * len(tracks), "sound was lost"
    return spent


async def _call(transport: WebSocketTransport, seconds: int, tracks: tuple[Track, ...]) -> None:
    now = 0.0
    observers = Observers(256 * 1024, StageWatch(), lambda: now, now)
    client: Any = _Client()
    observers.client_joined("t1", client)
    observers.joined("t2", transport, Observing(tracks=tracks))
    event = OutputAudioTranscriptDelta(
        event_id="event_0123456789abcdefghijk",
        response_id="resp_0123456789abcdefghijk",
        item_id="item_0123456789abcdefghijk",
        output_index=0,
        content_index=0,
        delta=" a few words",
    )
    for _ in range(seconds):
        for number in range(FRAMES_A_SECOND):
            now += 1 / FRAMES_A_SECOND
            observers.caller(FRAME)
            if tracks:
                client.heard(FRAME)
            if number < EVENTS_A_SECOND:
                observers.sent(event, True)
            if tracks and number % 10 == 9:
                # Of a real call the timer does this, every 200 ms.
                observers._tap._due()  # type: ignore[union-attr]
                await asyncio.sleep(0)
    observers.close("over")


class _Nobody:
    call_id = ""

    def ready(self) -> None: ...

    def received(self, data: object) -> None: ...

    def refused(self, error: object) -> None: ...

    def audio(self, pcm: bytes) -> None: ...

    def playing(self, tag: str) -> None: ...

    def played(self, played: object) -> None: ...

    def lost(self, reason: str) -> None: ...
