"""Stock aiortc, as its examples use it: a track that gives frames, a task that takes the caller's and
resamples them; for the echo, the caller's own track is sent back, as its ``server`` example does."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import itertools
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError
from common import RATE, main, only_loopback, tone

_FRAME = 480


class Aiortc:
    def __init__(self, echo: bool) -> None:
        only_loopback()
        self.heard = 0.0
        self._echo = echo
        self._peers: set[RTCPeerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None: ...

    async def answer(self, offer: str) -> str:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers.add(peer)
        relay = MediaRelay()

        def track(caller: Any) -> None:
            if self._echo:
                peer.addTrack(relay.subscribe(caller, buffered=False))
                caller = relay.subscribe(caller)
            self._keep(self._hear(caller))

        async def state() -> None:
            if peer.connectionState in ("closed", "failed"):
                self._peers.discard(peer)
                await peer.close()

        peer.on("track", track)
        peer.on("connectionstatechange", state)
        peer.on("datachannel", lambda channel: channel.on("message", channel.send))
        if not self._echo:
            peer.addTrack(Tone())
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(self, track: Any) -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        with contextlib.suppress(MediaStreamError):
            while True:
                for frame in resampler.resample(await track.recv()):
                    self.heard += len(bytes(frame.planes[0])[: 2 * frame.samples]) / 2 / RATE


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames = itertools.cycle(np.frombuffer(tone(1.0), dtype="<i2").reshape(-1, 1, _FRAME))
        self._count = 0
        self._started = 0.0

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._started = self._started or loop.time()
        await asyncio.sleep(max(0.0, self._started + self._count * 0.02 - loop.time()))
        frame = av.AudioFrame.from_ndarray(next(self._frames), format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.pts = self._count * _FRAME
        frame.time_base = fractions.Fraction(1, RATE)
        self._count += 1
        return frame


if __name__ == "__main__":
    main(Aiortc)
