"""RTP and RTCP packets."""

from __future__ import annotations

from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSrPacket
from aiortc.rtp import RtpPacket as OtherRtpPacket
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media import rtcp, rtp


def stream() -> rtp.RtpStream:
    return rtp.RtpStream(ssrc=7, payload_type=111, sequence=65535, timestamp=2**32 - 960, step=960)


def test_a_stream_counts_and_marks_only_where_packets_begin() -> None:
    out = stream()
    packets = [rtp.parse(out.packet(b"a")), rtp.parse(out.packet(b"bc"))]
    out.skip(3)
    packets += [rtp.parse(out.packet(b"d")), rtp.parse(out.packet(b"e"))]
    assert [(p.sequence, p.timestamp, p.marker) for p in packets if p] == [
        (65535, 2**32 - 960, True),
        (0, 0, False),
        (1, 4 * 960, True),
        (2, 5 * 960, False),
    ]
    assert (out.packets, out.octets) == (4, 5)


def test_others_read_our_packets() -> None:
    packet = OtherRtpPacket.parse(stream().packet(b"payload"))
    assert (packet.ssrc, packet.payload_type, packet.payload) == (7, 111, b"payload")


@given(st.binary(max_size=64), st.lists(st.integers(0, 2**32 - 1), max_size=15), st.integers(0, 255))
def test_csrcs_extension_and_padding_are_taken_off(payload: bytes, csrc: list[int], padding: int) -> None:
    packet = OtherRtpPacket(
        payload_type=96, marker=1, sequence_number=5, timestamp=6, ssrc=7, payload=payload
    )
    packet.csrc = csrc
    packet.padding_size = padding
    parsed = rtp.parse(packet.serialize())
    assert parsed == rtp.RtpPacket(96, True, 5, 6, 7, payload)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_packet_or_none(data: bytes) -> None:
    for candidate in (data, b"\x80" + data, b"\xbf" + data):
        parsed = rtp.parse(candidate)
        assert parsed is None or len(parsed.payload) <= len(candidate)


BLOCK = rtcp.ReportBlock(
    ssrc=9, fraction_lost=10, lost=-3, highest=70000, jitter=42, last_sr=0x12345678, delay_since_sr=65536
)


def test_reports_survive_the_way_there() -> None:
    data = rtcp.sender_report(7, rtcp.ntp(1.5), 960, 3, 100, [BLOCK]) + rtcp.cname(7, "us") + rtcp.bye(7)
    sr, sdes, bye = RtcpPacket.parse(data)
    assert isinstance(sr, RtcpSrPacket)
    assert sr.sender_info.packet_count == 3
    assert sr.reports[0].packets_lost == -3
    assert isinstance(sdes, RtcpSdesPacket)
    assert sdes.chunks[0].items == [(1, b"us")]
    assert isinstance(bye, RtcpByePacket)
    reports = rtcp.parse(data)
    assert reports is not None
    assert reports.blocks == [BLOCK]
    assert reports.bye == [7]
    assert reports.senders == {7: rtcp.ntp(1.5) >> 16 & 0xFFFFFFFF}


def test_a_receiver_report_survives_too() -> None:
    data = rtcp.receiver_report(7, [BLOCK])
    (rr,) = RtcpPacket.parse(data)
    assert isinstance(rr, RtcpRrPacket)
    reports = rtcp.parse(data)
    assert reports is not None
    assert reports.blocks == [BLOCK]


def test_the_round_trip_is_what_is_left_of_the_time() -> None:
    sent = rtcp.ntp(1000.0)
    block = rtcp.ReportBlock(ssrc=1, last_sr=sent >> 16 & 0xFFFFFFFF, delay_since_sr=65536 // 2)
    measured = rtcp.round_trip(rtcp.ntp(1000.6), block)
    assert measured is not None
    assert abs(measured - 0.1) < 0.001
    assert rtcp.round_trip(rtcp.ntp(1000.6), rtcp.ReportBlock(ssrc=1)) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_reports_or_none(data: bytes) -> None:
    for candidate in (data, b"\x81\xc8" + data, b"\x9f\xc9" + data, b"\x9f\xcb" + data):
        reports = rtcp.parse(candidate)
        assert reports is None or len(reports.blocks) <= len(candidate) // 24
