"""A router that hides IPv4 hosts behind one address."""

from __future__ import annotations

import ipaddress
from itertools import count

from .packets import TCP, UDP, flow, from_elsewhere, to_elsewhere

_Inside = tuple[int, bytes, int]
"""Protocol, address, port."""


class Nat:
    """Lets in only what answers (RFC 4787: address- and port-dependent filtering). ``symmetric``: each target
    sees another port; else one port serves a socket towards all."""

    def __init__(self, outside: str, *, symmetric: bool = False) -> None:
        self.outside = ipaddress.IPv4Address(outside).packed
        self._symmetric = symmetric
        self._ports = count(40_000)
        self._out: dict[tuple[object, ...], int] = {}
        self._back: dict[tuple[int, int], _Inside] = {}
        self._asked: set[tuple[int, int, bytes, int]] = set()

    def rebind(self) -> None:
        """Forget where UDP came from, as routers do that restart or run out of memory: what comes next has
        another port, and what answers the old one goes nowhere."""
        self._out = {key: port for key, port in self._out.items() if key[0] != UDP}
        self._back = {key: inside for key, inside in self._back.items() if key[0] != UDP}

    @property
    def ports(self) -> set[int]:
        """Those that UDP has now."""
        return {port for protocol, port in self._back if protocol == UDP}

    def out(self, packet: bytes) -> bytes | None:
        """A packet as the world sees it; None: not let out."""
        if packet[0] >> 4 != 4:
            return None
        told = flow(packet)
        if told.protocol not in (UDP, TCP):
            return None
        inside = (told.protocol, told.source, told.source_port)
        key = (*inside, told.target, told.target_port) if self._symmetric else inside
        port = self._out.get(key)
        if port is None:
            port = self._out[key] = next(self._ports)
            self._back[told.protocol, port] = inside
        self._asked.add((told.protocol, port, told.target, told.target_port))
        return from_elsewhere(packet, self.outside, port)

    def back(self, packet: bytes) -> bytes | None:
        """A packet for :attr:`outside` as the host inside gets it; None: not let in."""
        protocol, source, source_port, _, port = flow(packet)
        inside = self._back.get((protocol, port))
        if inside is None or (protocol, port, source, source_port) not in self._asked:
            return None
        return to_elsewhere(packet, inside[1], inside[2])
