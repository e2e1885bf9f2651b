"""An aiortc client for loopback tests: a real peer that offers, speaks PCM, hears and exchanges messages.

async with client_for(engine) as (client, sink, call):
    client.channel.send("hello")
    await sink.wait_for(lambda: sink.events)
"""

from __future__ import annotations

import asyncio
import contextlib
import fractions
from collections.abc import AsyncIterator, Awaitable, Callable

import aioice.ice
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.peer import Peer
from vivavoz.media.ports import Played

RATE = 24000
TIMEOUT = 60.0

# aioice leaves loopback addresses out.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # type: ignore[assignment]

Answer = Callable[[str], Awaitable[str]]


def tone(ms: int, hz: float = 440.0, *, level: float = 0.3, rate: int = RATE) -> bytes:
    """A sine as mono PCM16LE."""
    at = np.arange(rate * ms // 1000)
    return (np.sin(2 * np.pi * hz * at / rate) * level * 32767).astype("<i2").tobytes()


def loudness(pcm: bytes) -> float:
    """RMS of PCM16, 0 to 1."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    return float(np.sqrt(np.mean(samples**2)) / 32768) if len(samples) else 0.0


def pitch(pcm: bytes, rate: int = RATE) -> float:
    """The strongest frequency in PCM16 (Hz)."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


class RecordingSink:
    """A :class:`~vivavoz.media.ports.CallSink` that keeps everything and wakes whoever waits."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str]] = []
        self.audio = bytearray()
        self.events: list[str | bytes] = []
        self.playing: list[str] = []
        self.played: list[Played] = []
        self._changed = asyncio.Event()

    def on_state(self, state: str, reason: str) -> None:
        self.states.append((state, reason))
        self._changed.set()

    def on_audio(self, pcm: bytes) -> None:
        self.audio += pcm
        self._changed.set()

    def on_event(self, text: str | bytes) -> None:
        self.events.append(text)
        self._changed.set()

    def on_playing(self, tag: str) -> None:
        self.playing.append(tag)
        self._changed.set()

    def on_played(self, played: Played) -> None:
        self.played.append(played)
        self._changed.set()

    @property
    def state(self) -> str:
        return self.states[-1][0] if self.states else "connecting"

    async def wait_for(self, condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
        """Until ``condition``, looked at whenever something happened."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class PcmTrack(MediaStreamTrack):
    """A microphone that speaks ``pcm`` once, then silence, in real time; clearing ``open`` stops packets."""

    kind = "audio"

    def __init__(self, pcm: bytes = b"") -> None:
        super().__init__()
        self._pcm = pcm
        self._position = 0
        self._started: float | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await self.open.wait()
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = loop.time()
        await asyncio.sleep(max(0.0, self._started + self._position / RATE - loop.time()))
        chunk = self._pcm[2 * self._position : 2 * self._position + 960].ljust(960, b"\0")
        frame = av.AudioFrame.from_ndarray(np.frombuffer(chunk, dtype="<i2").reshape(1, -1), "s16", "mono")
        frame.sample_rate = RATE
        frame.pts = self._position
        frame.time_base = fractions.Fraction(1, RATE)
        self._position += 480
        return frame


class Client:
    """One aiortc peer. ``heard`` is what it received, mono PCM16 at 48 kHz."""

    def __init__(
        self, *, pcm: bytes | None = b"", label: str | None = "oai-events", direction: str = "sendrecv"
    ) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.track = PcmTrack(pcm) if pcm is not None else None
        self.pc.addTransceiver(self.track or "audio", direction=direction)
        self.channel: RTCDataChannel | None = self.pc.createDataChannel(label) if label else None
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.heard = bytearray()
        self._listener: asyncio.Task[None] | None = None
        self._heard_more = asyncio.Event()
        self.channel_open = asyncio.Event()
        if self.channel is not None:
            self.channel.on("message", self.messages.put_nowait)
            self.channel.on("open", self.channel_open.set)
        self.pc.on("track", self._on_track)

    async def connect(self, answer: Answer) -> None:
        """Offer, and take what ``answer`` gives for it."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp = await answer(self.pc.localDescription.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def message(self) -> str | bytes:
        async with asyncio.timeout(TIMEOUT):
            return await self.messages.get()

    async def hear(self, condition: Callable[[bytearray], object]) -> None:
        """Until ``condition`` holds for what was heard."""
        async with asyncio.timeout(TIMEOUT):
            while not condition(self.heard):
                self._heard_more.clear()
                await self._heard_more.wait()

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        if self.track is not None:
            self.track.stop()
        await self.pc.close()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._listener = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
                self.heard += samples.astype("<i2").tobytes()
                self._heard_more.set()


@contextlib.asynccontextmanager
async def running(config: MediaConfig | None = None) -> AsyncIterator[LeanEngine]:
    """An engine on a free loopback port."""
    engine = LeanEngine(config)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@contextlib.asynccontextmanager
async def client_for(
    engine: LeanEngine,
    *,
    pcm: bytes | None = b"",
    label: str | None = "oai-events",
    direction: str = "sendrecv",
) -> AsyncIterator[tuple[Client, RecordingSink, Peer]]:
    """A client and its call, connected."""
    sink = RecordingSink()
    client = Client(pcm=pcm, label=label, direction=direction)
    calls: list[Peer] = []

    async def answer(offer: str) -> str:
        text, call = engine.accept(offer, sink)
        calls.append(call)
        return text

    try:
        await client.connect(answer)
        await sink.wait_for(lambda: sink.states)
        if client.channel is not None:
            await asyncio.wait_for(client.channel_open.wait(), TIMEOUT)
        yield client, sink, calls[0]
    finally:
        await client.close()
