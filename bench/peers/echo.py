"""What a server adds to sound that goes through it: the delay of an echo, without loss, with 2 % of the
packets lost, and after one lost packet, with the hole that this one leaves.

A tone sounds for 0.4 s of every second. Its beginning is looked for in what leaves (the packets decoded by a
decoder of our own, so that the caller's encoder does not count) and in what comes (decoded on arrival, no
jitter buffer). The packets are lost here: made, and not sent. Those with a tone's beginning are spared, or
the figure would be of missing sound and not of delay.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from itertools import pairwise
from typing import Any

import numpy as np

from bench import rig
from bench.peers.candidates import Candidate, serving
from bench.peers.servers.common import RATE, tone
from vivavoz.measuring.peer import Peer, Peers
from vivavoz.measuring.sound import encoded
from vivavoz.media import rtp
from vivavoz.media.opus import Decoder

_CYCLE, _TONE = 50, 20  # packets
_BLOCK = 60  # samples: 2.5 ms
_BLOCK_S = _BLOCK / RATE
_LOUD = 1_000.0
_QUIET_BEFORE_S = 0.15
_SPARED = 3  # packets at a tone's beginning
_SEARCH_S = 0.9
_LOSS = 0.02
_SETTLE_CYCLES = 2
_LOST_AT = 10  # the packet of its tone that is the one lost


def measure_echo(candidate: Candidate, cycles: int) -> dict[str, Any]:
    """Delays (ms): ``clean``, ``lossy``, ``before`` and ``after`` one loss, and ``hole``, a figure a call."""
    with serving(candidate, "--echo") as server:
        return asyncio.run(_echo(server, cycles))


async def _echo(server: rig.Server, cycles: int) -> dict[str, Any]:
    burst = tone(_TONE * 0.02)
    packets = encoded((burst + bytes((_CYCLE - _TONE) * 960)) * 2)[_CYCLE:]
    once = 3 + cycles // 3
    plans = {
        "clean": [Mouth(packets, phase=13 * n) for n in range(4)],
        "lossy": [Mouth(packets, loss=_LOSS, seed=n, phase=17 * n) for n in range(3)],
        "single": [Mouth(packets, lost_in=once, phase=17 * n) for n in range(3)],
    }
    calls = [Call(mouth) for mouths in plans.values() for mouth in mouths]
    odd = random.Random(1)
    for call in calls:
        await asyncio.sleep(odd.uniform(0.02, 0.06))
        await call.peer.connect(lambda offer: rig.post_offer(server.url, offer))
    await asyncio.sleep(cycles + _SETTLE_CYCLES)
    for call in calls:
        await call.peer.close()
    of = {name: [call for call in calls if call.mouth in mouths] for name, mouths in plans.items()}
    singles = [call.single() for call in of["single"]]
    return {
        "clean": [ms for call in of["clean"] for _, ms in call.delays()],
        "lossy": [ms for call in of["lossy"] for _, ms in call.delays()],
        "before": [each["before"] for each in singles],
        "after": [each["after"] for each in singles],
        "hole": [each["hole"] for each in singles],
    }


class Mouth:
    """A microphone that repeats the cycle. ``beginnings``: when a tone began in what left."""

    def __init__(
        self, packets: list[bytes], *, loss: float = 0.0, seed: int = 0, lost_in: int = -1, phase: int = 0
    ) -> None:
        self.beginnings: list[float] = []
        self.lost_at = 0.0
        self.losing = False
        decoder = Decoder()
        sound = b"".join(map(decoder.decode, packets))
        self._first = next(at for at, loud in enumerate(_loud(sound)) if loud) * _BLOCK_S
        self._packets = packets
        self._draw = random.Random(seed)
        self._loss = loss
        self._lost_in = lost_in
        self._at = _TONE + phase

    def packet(self, now: float) -> bytes:
        self._at += 1
        cycle, at = divmod(self._at, _CYCLE)
        if at == 0:
            self.beginnings.append(now - 0.02 + self._first)
        self.losing = at >= _SPARED and self._draw.random() < self._loss
        if cycle == self._lost_in and at == _LOST_AT:
            self.losing, self.lost_at = True, now
        return self._packets[at]


class Call:
    """A caller whose packets may get lost, and who keeps what comes back."""

    def __init__(self, mouth: Mouth) -> None:
        self.mouth = mouth
        # Each with a clock of its own: when in the server's 20 ms its packets come is up to chance.
        self.peer = Lossy(Peers(), mouth, self)
        self._decoder = Decoder()
        self._loud: list[float] = []
        """When what was audible came, block by block."""

    def packet(self, arrived: float, packet: rtp.RtpPacket) -> None:
        pcm = self._decoder.decode(packet.payload)
        begins = arrived - len(pcm) / 2 / RATE
        self._loud += [begins + at * _BLOCK_S for at, loud in enumerate(_loud(pcm)) if loud]

    def delays(self) -> list[tuple[float, float]]:
        """``(when a tone began, ms until its echo did)``, the first ones left out."""
        heard = [
            later for earlier, later in pairwise([0.0, *self._loud]) if later - earlier > _QUIET_BEFORE_S
        ]
        found = []
        for began in self.mouth.beginnings[_SETTLE_CYCLES:]:
            echo = next((at for at in heard if began < at < began + _SEARCH_S), None)
            if echo is not None:
                found.append((began, (echo - began) * 1000))
        return found

    def single(self) -> dict[str, float]:
        """Median delay before and after the one loss, and the longest quiet within its tone (ms)."""
        lost, delays = self.mouth.lost_at, self.delays()
        heard = [each for each in delays if each[0] < lost]
        if not heard or len(heard) == len(delays):
            raise RuntimeError(f"of {len(self.mouth.beginnings)} tones {len(delays)} came back")
        began, delay = heard[-1]
        within = (began + delay / 1000, began + 1.0)
        loud = [at for at in self._loud if within[0] <= at < within[1]]
        quiet = max((later - earlier for earlier, later in pairwise(loud)), default=0.0)
        return {
            "before": statistics.median(ms for at, ms in delays if at <= began),
            "after": statistics.median(ms for at, ms in delays if at > lost),
            "hole": max(0.0, quiet - _BLOCK_S) * 1000,
        }


class Lossy(Peer):
    """A caller whose sound is not sent where its microphone says so."""

    def __init__(self, shared: Peers, mouth: Mouth, call: Call) -> None:
        super().__init__(shared, mouth, call)
        self._mouth = mouth

    def _transmit(self, data: bytes) -> None:
        if data[0] >= 128 and self._mouth.losing:
            return
        super()._transmit(data)


def _loud(pcm: bytes) -> list[bool]:
    """Of each whole block, whether it is audible."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    return [bool(each) for each in np.sqrt((blocks**2).mean(axis=1)) >= _LOUD]
