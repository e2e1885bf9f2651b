"""Whatever is dropped is counted, by the reason; and every call's end, by its cause."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vivavoz.media import opus, rtcp, stun
from vivavoz.media.config import MediaConfig
from vivavoz.media.ports import Drop, End
from vivavoz.media.rtp import RtpStream

from .minipeer import MiniPeer, Wire
from .peers import RecordingSink, tone
from .test_engine import settle

VOICE = opus.Encoder().encode(tone(20))
STRANGER = ("198.51.100.7", 7)


def _plain(peer: MiniPeer, packet: bytes) -> bytes:
    assert peer.dtls.srtp is not None
    return peer.dtls.srtp.protect(packet)


def _stream(ssrc: int = 77, payload_type: int = 111, sequence: int = 0) -> RtpStream:
    return RtpStream(ssrc=ssrc, payload_type=payload_type, sequence=sequence, timestamp=0, step=960)


def forged(peer: MiniPeer) -> None:
    data = peer.speak(VOICE)
    peer.send(data[:-1] + bytes([data[-1] ^ 1]))


def replayed(peer: MiniPeer) -> None:
    data = peer.speak(VOICE)
    peer.send(data)
    peer.send(data)


def header(peer: MiniPeer) -> None:
    """An extension that ends behind the packet. libsrtp would look at one in the clear part: its padding."""
    assert peer.dtls.srtp is not None
    whole = peer.stream.packet(VOICE)
    peer.send(_plain(peer, bytes([whole[0] | 0x20]) + whole[1:] + b"\0"))


def report(peer: MiniPeer) -> None:
    assert peer.dtls.srtp is not None
    peer.send(peer.dtls.srtp.protect_rtcp(rtcp.receiver_report(77, []) + b"\x80\xc9\xff\xff"))


def late(peer: MiniPeer) -> None:
    """Its time was filled when its successors had waited long enough."""
    first, second, third = (peer.speak(VOICE) for _ in range(3))
    peer.send(first)
    peer.send(third)
    peer.wire.now += 0.2
    peer.call.tick(peer.wire.now, 0)
    peer.send(second)


def stray(peer: MiniPeer) -> None:
    peer.send(peer.speak(VOICE))
    peer.send(_plain(peer, _stream(ssrc=5).packet(VOICE)))


def ahead(peer: MiniPeer) -> None:
    while not peer.call.stats().packets_discarded:
        peer.send(peer.speak(VOICE))


def counted(wire: Wire) -> dict[Drop, int]:
    return {why: count for why, count in wire.engine.stats.dropped.items() if count}


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        ("malformed", lambda peer: peer.send(b"")),
        ("malformed", lambda peer: peer.send(b"\x50garbage")),
        ("malformed", lambda peer: peer.send(b"\x00\x01garbage")),
        ("malformed", lambda peer: peer.send(stun._seal(stun.BINDING_ERROR, bytes(12), b"", b"p" * 24))),
        ("stranger", lambda peer: peer.send(b"\x80" + bytes(30), source=STRANGER)),
        ("stranger", lambda peer: peer.send(b"\x16\xfe\xfd" + bytes(30), source=STRANGER)),
        (
            "stranger",
            lambda peer: peer.send(stun.binding_success(bytes(12), STRANGER, b"p" * 24), source=STRANGER),
        ),
        ("unauthentic", lambda peer: peer.check(password=b"guess")),
        ("unauthentic", lambda peer: peer.check(remote="somebody")),
        ("unauthentic", lambda peer: peer.send(stun.binding_request(bytes(12), "no:body", b"p" * 24, 1))),
        ("unauthentic", lambda peer: peer.send(stun.binding_success(bytes(12), peer.address, b"p" * 24))),
        ("dtls", lambda peer: peer.send(b"\x17\xfe\xfd" + bytes(30))),
        ("forged", forged),
        ("replayed", replayed),
        ("header", header),
        ("header", report),
        ("stray", stray),
        ("format", lambda peer: peer.send(_plain(peer, _stream(payload_type=96).packet(VOICE)))),
        ("payload", lambda peer: peer.send(peer.speak(b""))),
        ("payload", lambda peer: peer.send(peer.speak(b"\xff" * 9))),
        ("late", late),
        ("ahead", ahead),
    ],
)
async def test_each_reason(reason: Drop, act: Callable[[MiniPeer], object]) -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        act(peer)
        assert counted(wire) == {reason: 1}
        assert sink.states == [("connected", "")]
        peer.call.close("over")
        assert counted(wire) == {reason: 1}


async def test_what_comes_too_early_or_in_too_many_streams() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.check()
        peer.send(b"\x80" + bytes(30))
        peer.dtls.start()
        wire.run()
        peer.send(peer.speak(VOICE))
        assert wire.engine.stats.dropped["early"] == 2
        for ssrc in range(1000, 1100):
            peer.send(_plain(peer, _stream(ssrc=ssrc).packet(VOICE)))
        assert wire.engine.stats.dropped["streams"] == 100 - 63


async def test_another_machine_where_only_this_one_is_served() -> None:
    async with Wire(MediaConfig(local_only=True)) as wire:
        peer = MiniPeer(wire, RecordingSink())
        assert not peer.check(source=STRANGER)
        assert counted(wire) == {"elsewhere": 1}


async def test_our_own_bug_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Wire() as wire:
        monkeypatch.setattr(wire.engine, "_stun", lambda *_: 1 / 0)
        assert not wire.engine._received(b"\x00\x01", STRANGER)
        assert wire.engine.stats.dropped == {"failed": 1}


@pytest.mark.parametrize("fec", [True, False])
async def test_packets_and_frames_outlive_their_call(fec: bool) -> None:
    """What was recovered from the next packet is told apart from what was made up."""
    async with Wire() as wire:
        encoder = opus.Encoder(application="voip" if fec else "lowdelay", bitrate=32000, loss_percent=30)
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        sound = tone(400)
        packets = [peer.speak(encoder.encode(sound[at : at + 960])) for at in range(0, len(sound), 960)]
        for number, data in enumerate(packets):
            wire.now += 0.02
            if number != 10:
                peer.send(data)
            peer.call.tick(wire.now, 0)
        before = wire.engine.stats
        assert (before.packets_received, before.packets_lost, before.packets_sent) == (19, 1, 20)
        assert (before.frames_concealed, before.frames_recovered) == (1, int(fec))
        peer.call.close("over")
        after = wire.engine.stats
        after.ended = {}
        assert after == before


async def ended(wire: Wire, sink: RecordingSink) -> End:
    await settle()
    assert sink.state == "closed"
    ((cause, count),) = wire.engine.stats.ended.items()
    assert count == 1
    return cause


async def test_each_end() -> None:
    def goodbye(peer: MiniPeer) -> None:
        peer.connect()
        peer.dtls.close()

    def vanish(peer: MiniPeer) -> None:
        peer.connect()
        peer.call.tick(peer.wire.now + 6, 0)

    def never_finish(peer: MiniPeer) -> None:
        peer.check()
        peer.call.tick(peer.wire.now + 16, 0)

    def fail_the_handshake(peer: MiniPeer) -> None:
        """With a certificate that the offer does not name."""
        peer.call._dtls._fingerprints[:] = [("sha-256", "00")]
        peer.dtls.start()
        peer.check()
        peer.wire.run()

    def flood_the_channel(peer: MiniPeer) -> None:
        peer.connect()
        assert peer.events is not None
        peer.events.send("y" * 4_000_000)
        peer.wire.run()

    ways: list[tuple[End, Callable[[MiniPeer], object]]] = [
        ("local", lambda peer: peer.call.close("hung up")),
        ("peer", goodbye),
        ("vanished", vanish),
        ("no_path", lambda peer: peer.call.tick(peer.wire.now + 16, 0)),
        ("no_handshake", never_finish),
        ("dtls", fail_the_handshake),
        ("channel", flood_the_channel),
    ]
    for cause, act in ways:
        async with Wire() as wire:
            sink = RecordingSink()
            act(MiniPeer(wire, sink))
            assert await ended(wire, sink) == cause
    sink = RecordingSink()
    async with Wire() as wire:
        MiniPeer(wire, sink).connect()
    assert wire.engine.stats.ended == {"stopping": 1}


async def test_a_bug_ends_a_call_by_that_name() -> None:
    class Broken(RecordingSink):
        def on_event(self, text: str | bytes) -> None:
            raise RuntimeError("a bug")

    async with Wire() as wire:
        sink = Broken()
        MiniPeer(wire, sink).connect()
        assert await ended(wire, sink) == "failed"
