"""What callers say and hear, for measuring: microphones, ears, and when something was audible."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from vivavoz.media.opus import Decoder, Encoder, OpusError
from vivavoz.media.rtp import RtpPacket

RATE = 24_000
FRAME_S = 0.02
_FRAME_BYTES = 960
AUDIBLE = 400
"""Sample value (-38 dBFS) from which sound is heard."""


def trimmed(pcm: bytes) -> bytes:
    """Sound that begins and ends with an audible sample, led in by silence to whole frames."""
    samples = np.frombuffer(pcm, dtype="<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= AUDIBLE)
    cut = samples[loud[0] : loud[-1] + 1].tobytes()
    return bytes(-len(cut) % _FRAME_BYTES) + cut


class Utterance:
    """Something being said. ``began`` is when its first sample was spoken, ``ended`` when the packet with its
    last one was sent (``time.time()``)."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.over = asyncio.Event()


class Voice:
    """A microphone of someone who speaks now and then: silence in between, encoded as browsers do, or by
    ``encoder``."""

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = encoder or Encoder(application="voip", bitrate=32_000)
        self._frames: deque[tuple[bytes, Utterance]] = deque()
        self._last: Utterance | None = None

    def say(self, pcm: bytes) -> Utterance:
        """Queue ``pcm`` (whole frames)."""
        utterance = Utterance()
        for at in range(0, len(pcm), _FRAME_BYTES):
            self._frames.append((pcm[at : at + _FRAME_BYTES], utterance))
        return utterance

    def packet(self, now: float) -> bytes:
        return self._encoder.encode(self.frame(now))

    def frame(self, now: float) -> bytes:
        """The 20 ms (PCM) that end at ``now``."""
        if not self._frames:
            return bytes(_FRAME_BYTES)
        pcm, utterance = self._frames.popleft()
        if utterance is not self._last:
            # A microphone hands a frame over when its last sample was spoken.
            utterance.began, self._last = now - FRAME_S, utterance
        if not self._frames or self._frames[0][1] is not utterance:
            utterance.ended = now
            utterance.over.set()
        return pcm


class Loop:
    """A microphone that repeats what was encoded beforehand: costs its process next to nothing."""

    def __init__(self, packets: list[bytes], at: int = 0) -> None:
        self._packets = packets
        self._at = at

    def packet(self, now: float) -> bytes:
        self._at = (self._at + 1) % len(self._packets)
        return self._packets[self._at]


def encoded(pcm: bytes) -> list[bytes]:
    """20 ms packets of ``pcm``, as a browser makes them."""
    encoder = Encoder(application="voip", bitrate=32_000)
    frames = len(pcm) // _FRAME_BYTES
    return [encoder.encode(pcm[n * _FRAME_BYTES : (n + 1) * _FRAME_BYTES]) for n in range(frames)]


def audible(pcm: bytes) -> tuple[float, float] | tuple[None, None]:
    """Where in ``pcm`` (s) the first and the last audible sample are."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)) >= AUDIBLE)
    return (float(loud[0]) / RATE, float(loud[-1]) / RATE) if len(loud) else (None, None)


class Heard(msgspec.Struct, frozen=True):
    """One packet of the service's voice. ``first`` and ``last`` are where in its 20 ms (s) something was
    audible; None for a silent one."""

    arrived: float
    sequence: int
    timestamp: int
    first: float | None
    last: float | None


class Listener:
    """An ear that decodes each packet on arrival and keeps what was audible when."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.undecodable = 0
        """Packets that were no Opus."""
        self._decoder = Decoder()
        self._changed = asyncio.Event()

    def packet(self, arrived: float, packet: RtpPacket) -> None:
        try:
            first, last = audible(self._decoder.decode(packet.payload))
        except OpusError:
            self.undecodable += 1
            return
        self.heard.append(Heard(arrived, packet.sequence, packet.timestamp, first, last))
        self._changed.set()

    @property
    def arrivals(self) -> list[tuple[float, int]]:
        """Of every packet: when it came, and its timestamp."""
        return [(heard.arrived, heard.timestamp) for heard in self.heard]

    async def first(self, timeout_s: float) -> Heard:
        """The first packet of all, audible or not. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not self.heard:
                self._changed.clear()
                await self._changed.wait()
        return self.heard[0]

    async def audible(self, after: float, timeout_s: float = 30.0) -> Heard:
        """The first packet after a moment that carries something audible. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                for heard in self._since(after):
                    if heard.first is not None:
                        return heard
                self._changed.clear()
                await self._changed.wait()

    def last_audible(self, after: float, before: float) -> float | None:
        """When the last audible sample between two moments was over."""
        ends = [h.arrived + h.last for h in self._since(after) if h.arrived < before and h.last is not None]
        return ends[-1] if ends else None

    def _since(self, moment: float) -> list[Heard]:
        found: list[Heard] = []
        for heard in reversed(self.heard):
            if heard.arrived <= moment:
                break
            found.append(heard)
        return found[::-1]


class Pace:
    """An ear that only looks at the clock: how evenly packets come."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, int]] = []
        self.octets = 0

    def packet(self, arrived: float, packet: RtpPacket) -> None:
        self.arrivals.append((arrived, packet.timestamp))
        self.octets += len(packet.payload)


def deviations_ms(arrivals: Sequence[tuple[float, int]], after: float, before: float) -> list[float]:
    """How evenly packets (arrival, timestamp) came between two moments: of each packet after the first,
    |time since the last one - what their timestamps say| (ms)."""
    chosen = [each for each in arrivals if after <= each[0] <= before]
    found = []
    for (earlier, stamp), (later, following) in pairwise(chosen):
        found.append(abs(later - earlier - ahead(following, stamp) / 48_000) * 1000)
    return found


def ahead(later: int, earlier: int) -> int:
    """By how much a 32-bit timestamp is ahead of another; negative where it is behind."""
    step = (later - earlier) & 0xFFFFFFFF
    return step if step < 0x80000000 else step - 0x100000000
