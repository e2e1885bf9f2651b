"""A server that does nothing but media: a caller's sound decoded to 24 kHz mono PCM and counted, a 24 kHz
tone sent all the time. ``python -m bench.media_server ours|aiortc PORT [--uvloop]``: the same work on our
media path, or on stock aiortc as its examples use it.

``POST /v1/realtime/calls`` takes an offer; ``GET /stats`` says how much PCM was decoded.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fractions
import itertools
from typing import Any

import numpy as np
from aiohttp import web

RATE = 24_000
_FRAME = 480


def tone(seconds: float) -> bytes:
    """Harmonics of 180 Hz that swell: something a codec must work for, as for a voice."""
    at = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 180 * n * at) / n for n in range(1, 10))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * at)
    return bytes((wave / np.abs(wave).max() * swell * 12_000).astype("<i2").tobytes())


class Ours:
    """The lean media engine, fed a second ahead."""

    def __init__(self) -> None:
        from vivavoz.media.config import MediaConfig
        from vivavoz.media.engine import LeanEngine

        self.samples = 0
        self._engine = LeanEngine(MediaConfig(max_calls=1000))
        self._calls: list[Any] = []
        self._second = tone(1.0)

    async def start(self) -> None:
        await self._engine.start()

    async def answer(self, offer: str) -> str:
        text, call = self._engine.accept(offer, self)
        self._calls.append(call)
        call.write(self._second * 2, "tone")
        return text

    async def play(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            for call in self._calls:
                if call.queued_ms < 3000:
                    call.write(self._second, "tone")

    def on_audio(self, pcm: bytes) -> None:
        self.samples += len(pcm) // 2

    def on_state(self, state: str, reason: str) -> None: ...

    def on_event(self, text: str | bytes) -> None: ...

    def on_playing(self, tag: str) -> None: ...

    def on_played(self, played: object) -> None: ...


class Aiortc:
    """Stock aiortc: a track that gives frames, a task that takes the caller's and resamples them."""

    def __init__(self) -> None:
        import aioice.ice

        # aioice leaves loopback addresses out, which is all there is between two processes here.
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
        self.samples = 0
        self._peers: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None: ...

    async def play(self) -> None: ...

    async def answer(self, offer: str) -> str:
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.append(peer)
        peer.on("track", self._listen)
        peer.addTrack(_tone_track())
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    def _listen(self, track: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._hear(track))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(self, track: Any) -> None:
        import av
        from aiortc.mediastreams import MediaStreamError

        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        with contextlib.suppress(MediaStreamError):
            while True:
                for frame in resampler.resample(await track.recv()):
                    self.samples += len(bytes(frame.planes[0])[: 2 * frame.samples]) // 2


def _tone_track() -> Any:
    import av
    from aiortc import MediaStreamTrack

    class ToneTrack(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            samples = np.frombuffer(tone(1.0), dtype="<i2").reshape(-1, 1, _FRAME)
            self._frames = itertools.cycle(samples)
            self._count = 0
            self._started = 0.0

        async def recv(self) -> av.AudioFrame:
            loop = asyncio.get_running_loop()
            self._started = self._started or loop.time()
            await asyncio.sleep(max(0.0, self._started + self._count * 0.02 - loop.time()))
            frame = av.AudioFrame.from_ndarray(next(self._frames), format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = self._count * _FRAME
            frame.time_base = fractions.Fraction(1, RATE)
            self._count += 1
            return frame

    return ToneTrack()


async def _serve(kind: str, port: int) -> None:
    server: Ours | Aiortc = Ours() if kind == "ours" else Aiortc()
    await server.start()

    async def calls(request: web.Request) -> web.Response:
        return web.Response(status=201, text=await server.answer(await request.text()))

    async def stats(request: web.Request) -> web.Response:
        return web.json_response({"samples": server.samples})

    app = web.Application()
    app.add_routes([web.post("/v1/realtime/calls", calls), web.get("/stats", stats)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await server.play()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["ours", "aiortc"])
    parser.add_argument("port", type=int)
    parser.add_argument("--uvloop", action="store_true")
    parsed = parser.parse_args()
    factory = None
    if parsed.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(parsed.kind, parsed.port))


if __name__ == "__main__":
    main()
