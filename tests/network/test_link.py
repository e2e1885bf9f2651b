"""The line, the NAT and the packets that they rewrite: pure, so that they are tested without any network."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from .link import Conditions, First, Way, everything, is_dtls, larger_than, udp
from .nat import Nat
from .packets import TCP, UDP, flow, payload

INSIDE, OUTSIDE, FAR = "192.168.7.2", "203.0.113.77", "198.51.100.1"


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def ipv4(protocol: int, source: tuple[str, int], target: tuple[str, int], data: bytes = b"") -> bytes:
    """A packet with right checksums."""
    length = 8 + len(data)
    if protocol == UDP:
        header = struct.pack("!HHHH", source[1], target[1], length, 0)
    else:
        header = struct.pack("!HHIIHHHH", source[1], target[1], 1, 2, 0x5010, 512, 0, 0)
        length = 20 + len(data)
    pseudo = _address(source[0]) + _address(target[0]) + struct.pack("!HH", protocol, length)
    total = _sum(pseudo + header + data)
    at = 6 if protocol == UDP else 16
    if protocol == UDP:
        total = total or 0xFFFF
    header = header[:at] + struct.pack("!H", total) + header[at + 2 :]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 7, 0, 64, protocol, 0) + pseudo[:8]
    return ip[:10] + struct.pack("!H", _sum(ip)) + ip[12:] + header + data


def _intact(packet: bytes) -> bool:
    """Both checksums are right."""
    transport = packet[20:]
    pseudo = packet[12:20] + struct.pack("!HH", packet[9], len(transport))
    return _sum(packet[:20]) == 0 and _sum(pseudo + transport) == 0


packets = st.lists(st.binary(min_size=1, max_size=50), max_size=60)
times = st.floats(0, 0.1)


@given(packets, times, st.integers())
def test_without_loss_and_jitter_all_arrives_once_and_in_order(
    sent: list[bytes], delay: float, seed: int
) -> None:
    way = Way(seed, Conditions(delay=delay))
    for number, packet in enumerate(sent):
        way.put(number / 50, packet)
    assert way.take(1e9) == sent
    assert way.following is None


@given(packets, times, times, st.integers())
def test_nothing_comes_too_early_or_too_late(
    sent: list[bytes], delay: float, jitter: float, seed: int
) -> None:
    way = Way(seed, Conditions(delay=delay, jitter=jitter))
    for packet in sent:
        way.put(5.0, packet)
    assert way.take(5.0 + delay - 1e-6) == []
    assert sorted(way.take(5.0 + delay + jitter)) == sorted(sent)


@given(st.integers())
def test_what_is_lost_and_repeated_follows_from_the_seed(seed: int) -> None:
    conditions = Conditions(jitter=0.03, loss=0.2, repeats=0.2)
    arrived = []
    for _ in range(2):
        way = Way(seed, conditions)
        for number in range(1000):
            way.put(0.0, number.to_bytes(2, "big"))
        arrived.append(way.take(1.0))
    assert arrived[0] == arrived[1]
    assert len(set(arrived[0])) == 1000 - way.lost
    assert 100 < way.lost < 300
    assert 1.1 < len(arrived[0]) / (1000 - way.lost) < 1.3
    assert arrived[0] != sorted(arrived[0])


def test_what_is_refused_does_not_arrive() -> None:
    dtls = ipv4(UDP, (INSIDE, 1), (FAR, 2), b"\x16" + bytes(99))
    stun = ipv4(UDP, (INSIDE, 1), (FAR, 2), bytes(40))
    tcp = ipv4(TCP, (INSIDE, 1), (FAR, 2), b"\x16" + bytes(99))
    empty = ipv4(UDP, (INSIDE, 1), (FAR, 2))
    refused = {
        everything: {dtls, stun, tcp, empty},
        udp: {dtls, stun, empty},
        is_dtls: {dtls},
        larger_than(100): {dtls, tcp},
    }
    for refuses, gone in refused.items():
        way = Way(1, Conditions(refuses=refuses))
        for packet in (dtls, stun, tcp, empty):
            way.put(0.0, packet)
        assert set(way.take(1.0)) == {dtls, stun, tcp, empty} - gone
    first = First(2, is_dtls)
    assert [first(packet) for packet in (dtls, stun, dtls, dtls)] == [True, False, True, False]


@given(st.binary(max_size=60), st.sampled_from([UDP, TCP]), st.integers(1, 65535), st.booleans())
def test_a_nat_hides_the_host_and_brings_answers_back(
    data: bytes, protocol: int, port: int, symmetric: bool
) -> None:
    nat = Nat(OUTSIDE, symmetric=symmetric)
    out = nat.out(ipv4(protocol, (INSIDE, port), (FAR, 443), data))
    assert out is not None
    assert _intact(out)
    seen = flow(out)
    assert (seen.source, seen.target, seen.target_port) == (_address(OUTSIDE), _address(FAR), 443)
    assert out.endswith(data)
    back = nat.back(ipv4(protocol, (FAR, 443), (OUTSIDE, seen.source_port), data))
    assert back is not None
    assert _intact(back)
    assert back == ipv4(protocol, (FAR, 443), (INSIDE, port), data)


def test_a_nat_lets_no_stranger_in() -> None:
    nat = Nat(OUTSIDE)
    out = nat.out(ipv4(UDP, (INSIDE, 5000), (FAR, 443)))
    assert out is not None
    port = flow(out).source_port
    for stranger in [(FAR, 444), ("198.51.100.2", 443)]:
        assert nat.back(ipv4(UDP, stranger, (OUTSIDE, port))) is None
    assert nat.back(ipv4(UDP, (FAR, 443), (OUTSIDE, port + 1))) is None


def test_only_a_symmetric_nat_shows_each_target_another_port() -> None:
    for symmetric, count in (False, 1), (True, 2):
        nat = Nat(OUTSIDE, symmetric=symmetric)
        for target in (443, 444, 443):
            nat.out(ipv4(UDP, (INSIDE, 5000), (FAR, target)))
        assert len(nat.ports) == count


def test_two_hosts_behind_a_nat_have_two_ports() -> None:
    nat = Nat(OUTSIDE)
    seen = []
    for host in (INSIDE, "192.168.7.3"):
        out = nat.out(ipv4(UDP, (host, 5000), (FAR, 443)))
        assert out is not None
        seen.append(flow(out).source_port)
    assert len(set(seen)) == 2
    back = nat.back(ipv4(UDP, (FAR, 443), (OUTSIDE, seen[1]), b"yours"))
    assert back is not None
    assert (flow(back).target, payload(back)) == (_address("192.168.7.3"), b"yours")


def test_a_nat_that_forgets_takes_another_port_for_udp() -> None:
    nat = Nat(OUTSIDE)
    sent = [ipv4(protocol, (INSIDE, 5000), (FAR, 443)) for protocol in (UDP, TCP)]
    before = [flow(nat.out(packet) or b"").source_port for packet in sent]
    nat.rebind()
    assert nat.back(ipv4(UDP, (FAR, 443), (OUTSIDE, before[0]))) is None
    after = [flow(nat.out(packet) or b"").source_port for packet in sent]
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert nat.back(ipv4(UDP, (FAR, 443), (OUTSIDE, before[0]))) is None
