"""As much of IP, UDP and TCP as a link and a NAT look at."""

from __future__ import annotations

import struct
from typing import NamedTuple

UDP = 17
TCP = 6
_CHECKSUM_AT = {UDP: 6, TCP: 16}
"""In the transport's header."""


class Flow(NamedTuple):
    """Who a packet is from and to; ports are 0 where it has none."""

    protocol: int
    source: bytes
    source_port: int
    target: bytes
    target_port: int


def flow(packet: bytes) -> Flow:
    """Of a whole IPv4 or IPv6 packet. (Extension headers and fragments do not occur here.)"""
    if packet[0] >> 4 == 4:
        protocol, source, target, at = packet[9], packet[12:16], packet[16:20], (packet[0] & 15) * 4
    else:
        protocol, source, target, at = packet[6], packet[8:24], packet[24:40], 40
    ports = struct.unpack_from("!HH", packet, at) if protocol in _CHECKSUM_AT else (0, 0)
    return Flow(protocol, source, ports[0], target, ports[1])


def payload(packet: bytes) -> bytes:
    """What a UDP packet carries."""
    return packet[((packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40) + 8 :]


def from_elsewhere(packet: bytes, host: bytes, port: int) -> bytes:
    """An IPv4 packet with another source, its checksums right again."""
    return _rewritten(packet, 12, 0, host, port)


def to_elsewhere(packet: bytes, host: bytes, port: int) -> bytes:
    """An IPv4 packet with another target, its checksums right again."""
    return _rewritten(packet, 16, 2, host, port)


def _rewritten(packet: bytes, host_at: int, port_at: int, host: bytes, port: int) -> bytes:
    at = (packet[0] & 15) * 4
    new = bytearray(packet)
    before = packet[host_at : host_at + 4]
    new[host_at : host_at + 4] = host
    new[10:12] = _adjusted(packet[10:12], before, host)
    before += packet[at + port_at : at + port_at + 2]
    struct.pack_into("!H", new, at + port_at, port)
    sum_at = at + _CHECKSUM_AT[packet[9]]
    told = packet[sum_at : sum_at + 2]
    if packet[9] == TCP or told != b"\0\0":  # a UDP checksum of 0 is none
        adjusted = _adjusted(told, before, host + port.to_bytes(2, "big"))
        new[sum_at : sum_at + 2] = b"\xff\xff" if packet[9] == UDP and adjusted == b"\0\0" else adjusted
    return bytes(new)


def _adjusted(checksum: bytes, before: bytes, after: bytes) -> bytes:
    """RFC 1624."""
    total = ~int.from_bytes(checksum, "big") & 0xFFFF
    total += sum(~word & 0xFFFF for word in _words(before)) + sum(_words(after))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(data) // 2}H", data)
