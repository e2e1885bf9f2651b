"""RTCP (RFC 3550 section 6): sender and receiver reports, SDES CNAME and BYE, in and out."""

from __future__ import annotations

import struct

import msgspec

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_NTP_EPOCH = 2208988800


class ReportBlock(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver says of one stream (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int = 0
    """Of 256, since the last report."""
    lost: int = 0
    """Since the start; negative when duplicates outweigh losses."""
    highest: int = 0
    """Extended highest sequence number."""
    jitter: int = 0
    """In units of the RTP clock."""
    last_sr: int = 0
    """Middle 32 bits of the NTP time of the last SR; 0 without one."""
    delay_since_sr: int = 0
    """1/65536 s."""


class Reports(msgspec.Struct):
    """What a compound packet held."""

    blocks: list[ReportBlock]
    senders: dict[int, int]
    """By SSRC: the middle 32 bits of the NTP time of its SR."""
    bye: list[int]


def ntp(wall: float) -> int:
    """A wall-clock time (s since 1970) as a 64-bit NTP timestamp."""
    return int((wall + _NTP_EPOCH) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def parse(data: bytes) -> Reports | None:
    """A decrypted compound packet (or a reduced-size one, RFC 5506); None if it is broken."""
    reports = Reports([], {}, [])
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            return None
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            return None
        count = first & 31
        if kind == _SR and words >= 6:
            ssrc, _, middle, _ = struct.unpack_from("!IHIH", data, at + 4)
            reports.senders[ssrc] = middle
            _blocks(data, at + 28, end, count, reports.blocks)
        elif kind == _RR and words >= 1:
            _blocks(data, at + 8, end, count, reports.blocks)
        elif kind == _BYE and count <= words:
            reports.bye.extend(struct.unpack_from(f"!{count}I", data, at + 4))
        at = end
    return reports


def _blocks(data: bytes, at: int, end: int, count: int, into: list[ReportBlock]) -> None:
    for _ in range(count):
        if at + 24 > end:
            return
        ssrc, loss, highest, jitter, last_sr, delay = struct.unpack_from("!IIIIII", data, at)
        lost = loss & 0xFFFFFF
        into.append(
            ReportBlock(
                ssrc=ssrc,
                fraction_lost=loss >> 24,
                lost=lost - 0x1000000 if lost & 0x800000 else lost,
                highest=highest,
                jitter=jitter,
                last_sr=last_sr,
                delay_since_sr=delay,
            )
        )
        at += 24


def sender_report(
    ssrc: int, ntp_time: int, timestamp: int, packets: int, octets: int, blocks: list[ReportBlock]
) -> bytes:
    head = struct.pack(
        "!BBHIQIII", 0x80 | len(blocks), _SR, 6 + 6 * len(blocks), ssrc, ntp_time, timestamp,
        packets & 0xFFFFFFFF, octets & 0xFFFFFFFF,
    )  # fmt: skip
    return head + b"".join(map(_block, blocks))


def receiver_report(ssrc: int, blocks: list[ReportBlock]) -> bytes:
    head = struct.pack("!BBHI", 0x80 | len(blocks), _RR, 1 + 6 * len(blocks), ssrc)
    return head + b"".join(map(_block, blocks))


def _block(block: ReportBlock) -> bytes:
    lost = max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF
    return struct.pack(
        "!IIIIII", block.ssrc, block.fraction_lost << 24 | lost, block.highest & 0xFFFFFFFF, block.jitter,
        block.last_sr, block.delay_since_sr,
    )  # fmt: skip


def cname(ssrc: int, name: str) -> bytes:
    """The SDES packet that every compound packet carries."""
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name.encode() + b"\0"
    item += b"\0" * (-len(item) % 4)
    return struct.pack("!BBH", 0x81, _SDES, len(item) // 4) + item


def bye(ssrc: int) -> bytes:
    return struct.pack("!BBHI", 0x81, _BYE, 1, ssrc)


def round_trip(now_ntp: int, block: ReportBlock) -> float | None:
    """Seconds there and back, from a report block about our stream (RFC 3550 section 6.4.1)."""
    if not block.last_sr:
        return None
    middle = now_ntp >> 16 & 0xFFFFFFFF
    units = middle - block.last_sr - block.delay_since_sr & 0xFFFFFFFF
    return None if units & 0x80000000 else units / 65536
