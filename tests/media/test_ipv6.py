"""IPv6: calls end to end over ::1, both families on one socket, and which addresses are named."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import ifaddr
import pytest

from vivavoz.media import opus
from vivavoz.media.addresses import machine_addresses
from vivavoz.media.config import MediaConfig

from .minipeer import MiniPeer
from .peers import RecordingSink, loudness, running, tone
from .socketpeer import SocketPeer, over_tcp, over_udp


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 here")


async def _converse(peer: SocketPeer, sink: RecordingSink) -> None:
    """Sound and messages, both ways."""
    await peer.connected()
    encoder, pcm = opus.Encoder(), tone(200)
    for at in range(0, len(pcm), 960):
        peer.send(peer.speak(encoder.encode(pcm[at : at + 960])))
    await sink.wait_for(lambda: loudness(bytes(sink.audio)) > 0.05)
    peer.call.write(tone(100), "a")
    peer.call.end("a")
    await sink.wait_for(lambda: sink.played)
    await peer.until(lambda: len(peer.rtp) >= 5)
    assert peer.call.send_event("x" * 50_000)
    await peer.until(lambda: peer.messages == ["x" * 50_000])
    peer.call.close("enough")
    await peer.until(lambda: peer.dtls.closed)


@ipv6
@pytest.mark.parametrize("bound", ["::1", "::"])
async def test_a_call_over_ipv6(bound: str) -> None:
    async with running(MediaConfig(host=bound)) as engine:
        sink = RecordingSink()
        peer = SocketPeer(engine, sink)
        assert f" ::1 {engine.port} typ host" in peer.answer
        async with over_udp(peer, "::1"):
            await _converse(peer, sink)
        assert engine._by_address == {}


@ipv6
async def test_a_call_over_ipv6_and_tcp() -> None:
    async with running(MediaConfig(host="::1", tcp_port=0)) as engine:
        sink = RecordingSink()
        peer = SocketPeer(engine, sink)
        assert f" ::1 {engine.tcp_port} typ host tcptype passive" in peer.answer
        async with over_tcp(peer, "::1"):
            await _converse(peer, sink)


@ipv6
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_one_socket_for_both_families(tcp: bool) -> None:
    async with running(MediaConfig(host="::", tcp_port=0, local_only=True)) as engine:
        for host in ("::1", "127.0.0.1"):
            sink = RecordingSink()
            peer = SocketPeer(engine, sink)
            async with over_tcp(peer, host) if tcp else over_udp(peer, host):
                await _converse(peer, sink)
        assert engine.stats.calls_accepted == 2
        assert engine.calls == 0


async def test_the_ipv6_answer_says_so() -> None:
    async with running(MediaConfig(advertise=("2001:db8::7", "203.0.113.5"))) as engine:
        answer, _ = engine.accept(MiniPeer.offer(), RecordingSink())
        lines = answer.split("\r\n")
        assert "c=IN IP6 2001:db8::7" in lines
        assert lines[1].endswith(" IN IP6 2001:db8::7")
        assert [line.split()[4] for line in lines if line.startswith("a=candidate")] == [
            "2001:db8::7",
            "203.0.113.5",
        ]


def test_link_local_addresses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ips = [
        ("fe80::1%eth0", 0, 2),
        ("::1", 0, 0),
        "169.254.3.4",
        "127.0.0.1",
        ("2001:db8::1", 0, 0),
        "192.0.2.4",
        ("2001:db8::1", 0, 0),
    ]
    adapter = SimpleNamespace(ips=[SimpleNamespace(ip=ip) for ip in ips])
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter])
    assert machine_addresses(ipv6=True) == ["2001:db8::1", "192.0.2.4", "::1", "127.0.0.1"]
    assert machine_addresses(ipv6=False) == ["192.0.2.4", "127.0.0.1"]
