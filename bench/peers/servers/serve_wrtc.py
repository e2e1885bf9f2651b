"""libwebrtc by its Python bindings (``wrtc``): sound as 10 ms pieces at 48 kHz, which is what they want and
give. The bindings leave pacing to the caller: one clock here serves all calls."""

from __future__ import annotations

import asyncio
from typing import Any

import webrtc
from common import main, tone

_RATE = 48_000
_PIECE_S = 0.01
_PIECE = 480
_CATCH_UP = 10
"""Pieces made up for after a stall."""


class Wrtc:
    def __init__(self, echo: bool) -> None:
        webrtc.allow_loopback()
        self.heard = 0.0
        self._echo = echo
        self._peers: set[Any] = set()
        self._writers: dict[Any, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        second = tone(1.0, _RATE)
        self._pieces = [second[at : at + 2 * _PIECE] for at in range(0, len(second), 2 * _PIECE)]

    async def start(self) -> None:
        if not self._echo:
            self._keep(self._play())

    async def answer(self, offer: str) -> str:
        peer = webrtc.RTCPeerConnection()
        self._peers.add(peer)
        generator = webrtc.MediaStreamTrackGenerator("audio")
        gathered = asyncio.Event()

        def state(event: object) -> None:
            if peer.connection_state in ("closed", "failed", "disconnected"):
                self._gone(peer)
            elif peer.connection_state == "connected" and not self._echo:
                self._writers[peer] = writer

        def track(event: Any) -> None:
            self._keep(self._hear(event.track, writer))

        def channel(event: Any) -> None:
            opened = event.channel
            opened.on("message", lambda message: opened.send(message.data))
            opened.on("close", lambda event: self._gone(peer))

        def gathering(event: object) -> None:
            if peer.ice_gathering_state == "complete":
                gathered.set()

        writer = generator.writable.get_writer()
        peer.on("connectionstatechange", state)
        peer.on("icegatheringstatechange", gathering)
        peer.on("track", track)
        peer.on("datachannel", channel)
        await peer.set_remote_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer))
        peer.add_track(generator)
        await peer.set_local_description(await peer.create_answer())
        if peer.ice_gathering_state != "complete":
            await asyncio.wait_for(gathered.wait(), 10)
        return str(peer.local_description.sdp)

    def _gone(self, peer: Any) -> None:
        self._writers.pop(peer, None)
        if peer in self._peers:
            self._peers.discard(peer)
            peer.close()

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        began, count = loop.time(), 0
        while True:
            await asyncio.sleep(max(0.0, began + count * _PIECE_S - loop.time()))
            behind = int((loop.time() - began) / _PIECE_S) - count
            if behind > _CATCH_UP:
                count += behind - _CATCH_UP
            for writer in tuple(self._writers.values()):
                writer.write(_data(self._pieces[count % len(self._pieces)], _RATE, 1))
            count += 1

    async def _hear(self, track: Any, writer: Any) -> None:
        processor = webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(track, 50))
        async for frame in processor.readable:
            self.heard += frame.number_of_frames / frame.sample_rate
            if self._echo:
                await writer.write(frame)
            else:
                frame.close()


def _data(pcm: bytes, rate: int, channels: int) -> Any:
    return webrtc.AudioData(
        webrtc.AudioDataInit(
            format="s16",
            sample_rate=rate,
            number_of_frames=len(pcm) // 2 // channels,
            number_of_channels=channels,
            timestamp=0,
            data=pcm,
        )
    )


if __name__ == "__main__":
    main(Wrtc)
