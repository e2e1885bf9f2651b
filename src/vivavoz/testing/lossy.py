"""The media engine on a network that loses packets of sound, always the same ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from weakref import WeakKeyDictionary

from vivavoz.engines.scripted.faults import LostPackets
from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.peer import Peer
from vivavoz.media.stun import Address


class Loss:
    """Which packets of one direction are lost: bursts of fixed length, begun at seeded random."""

    def __init__(self, lost: LostPackets, direction: str) -> None:
        self._random = random.Random(f"{lost.seed} {direction}")
        gap = lost.burst * (1 - lost.fraction)
        self._begins = lost.fraction / (lost.fraction + gap) if lost.fraction else 0.0
        self._burst = lost.burst
        self._left = 0

    def next(self) -> bool:
        """Whether the next packet is lost."""
        if not self._left and self._random.random() < self._begins:
            self._left = self._burst
        if self._left:
            self._left -= 1
            return True
        return False


class LossyEngine(LeanEngine):
    """Loses RTP only: connections, events and reports travel as they do without it."""

    def __init__(self, config: MediaConfig, lost: Callable[[], LostPackets | None]) -> None:
        """``lost`` is asked once a call and direction, at its first packet."""
        super().__init__(config)
        self._lost = lost
        self._losses: dict[str, WeakKeyDictionary[Peer, Loss | None]] = {
            "to_server": WeakKeyDictionary(),
            "to_client": WeakKeyDictionary(),
        }

    def handle(self, data: bytes, source: Address, now: float) -> bool:
        return self._loses("to_server", data, source) or super().handle(data, source, now)

    def transmit(self, data: bytes, address: Address) -> None:
        if not self._loses("to_client", data, address):
            super().transmit(data, address)

    def _loses(self, direction: str, data: bytes, address: Address) -> bool:
        if not _is_rtp(data):
            return False
        peer = self._by_address.get(address)
        if peer is None:
            return False
        losses = self._losses[direction]
        if peer not in losses:
            lost = self._lost()
            met = lost is not None and lost.direction in ("both", direction)
            losses[peer] = Loss(lost, direction) if lost is not None and met else None
        loss = losses[peer]
        return loss is not None and loss.next()


def _is_rtp(data: bytes) -> bool:
    """RFC 7983 for the first byte, RFC 5761 to tell RTCP apart."""
    return len(data) > 1 and 128 <= data[0] < 192 and not 192 <= data[1] <= 223
