"""What a line does to packets, as a pure function of time and a seed: it delays, reorders, loses, repeats and
refuses them. Kernels have this as ``tc netem``, but not everywhere: those of small virtual machines come
without it, and none refuses by what a packet holds."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

from .packets import UDP, flow, payload

Refuses = Callable[[bytes], bool]
"""Whether an IP packet never arrives."""


@dataclass(frozen=True)
class Conditions:
    """``delay`` and ``jitter`` in s: a packet is underway for ``delay`` and up to ``jitter`` more, each for
    itself, so that jitter above the spacing of packets reorders them. ``loss`` and ``repeats`` are shares."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    repeats: float = 0.0
    refuses: Refuses = lambda packet: False


CLEAN = Conditions(delay=0.02)


class Way:
    """One direction of the line. Changed conditions hold for packets that come from then on."""

    def __init__(self, seed: int, conditions: Conditions = CLEAN) -> None:
        self.conditions = conditions
        self.put_in = self.lost = 0
        self._random = random.Random(seed)
        self._underway: list[tuple[float, int, bytes]] = []

    def put(self, now: float, packet: bytes) -> None:
        """A packet enters."""
        self.put_in += 1
        conditions = self.conditions
        if conditions.refuses(packet) or self._random.random() < conditions.loss:
            self.lost += 1
            return
        for copy in range(1 + (self._random.random() < conditions.repeats)):
            late = conditions.delay + self._random.random() * conditions.jitter
            heapq.heappush(self._underway, (now + late, 2 * self.put_in + copy, packet))

    def take(self, now: float) -> list[bytes]:
        """What arrives by now, in order of arrival."""
        arrived = []
        while self._underway and self._underway[0][0] <= now:
            arrived.append(heapq.heappop(self._underway)[2])
        return arrived

    @property
    def following(self) -> float | None:
        """When the next packet arrives."""
        return self._underway[0][0] if self._underway else None


# ------------------------------------------------------------------ what a line may refuse


def everything(packet: bytes) -> bool:
    """The cable is pulled."""
    return True


def udp(packet: bytes) -> bool:
    """A strict firewall."""
    return flow(packet).protocol == UDP


def larger_than(mtu: int) -> Refuses:
    """A hop with a smaller MTU, behind a firewall that keeps the ICMP back which would say so."""
    return lambda packet: len(packet) > mtu


def is_dtls(packet: bytes) -> bool:
    """RFC 7983."""
    return udp(packet) and any(20 <= first < 64 for first in payload(packet)[:1])


class First:
    """Refuses the first packets of a kind."""

    def __init__(self, count: int, kind: Refuses) -> None:
        self.left = count
        self._kind = kind

    def __call__(self, packet: bytes) -> bool:
        if self.left and self._kind(packet):
            self.left -= 1
            return True
        return False
