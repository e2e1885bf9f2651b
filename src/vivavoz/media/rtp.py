"""RTP (RFC 3550 section 5): the headers of what comes and the packets that go."""

from __future__ import annotations

import struct

import msgspec

_HEADER = struct.Struct("!BBHII")
HEADER_SIZE = 12


class RtpPacket(msgspec.Struct, frozen=True):
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def is_rtcp(data: bytes) -> bool:
    """RFC 5761 section 4: with one port for both, packet types 192 to 223 are RTCP."""
    return len(data) > 1 and 192 <= data[1] <= 223


def parse(data: bytes) -> RtpPacket | None:
    """A decrypted RTP packet, without CSRCs, extensions and padding; None if it is none."""
    if len(data) < HEADER_SIZE:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        return None
    start, end = HEADER_SIZE + 4 * (first & 15), len(data)
    if first & 0x10:
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:
        end -= data[-1]
        if not data[-1]:
            return None
    if start > end:
        return None
    return RtpPacket(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end])


class RtpStream:
    """The packets of one outgoing stream. The timestamp follows time, sent or not."""

    def __init__(self, *, ssrc: int, payload_type: int, sequence: int, timestamp: int, step: int) -> None:
        self.ssrc = ssrc
        self.timestamp = timestamp
        self.packets = 0
        self.octets = 0
        self._payload_type = payload_type
        self._sequence = sequence
        self._step = step
        self._contiguous = False

    def packet(self, payload: bytes) -> bytes:
        """The packet of this frame; the marker is set where packets begin again (RFC 3551 section 4.1)."""
        kind = self._payload_type if self._contiguous else self._payload_type | 0x80
        header = _HEADER.pack(0x80, kind, self._sequence, self.timestamp, self.ssrc)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._contiguous = True
        self.packets += 1
        self.octets += len(payload)
        self._advance(1)
        return header + payload

    def skip(self, frames: int = 1) -> None:
        """``frames`` frame times pass without a packet."""
        if frames:
            self._contiguous = False
            self._advance(frames)

    def _advance(self, frames: int) -> None:
        self.timestamp = self.timestamp + frames * self._step & 0xFFFFFFFF
