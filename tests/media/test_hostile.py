"""What strangers and hostile peers send: dropped or refused, counted, without growth, and a call beside it
goes on as if nothing was.

``VIVAVOZ_FUZZ`` asks for more of it, and for others each time (see ``tests/fuzz/amount.py``)."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from aiortc.rtcsctptransport import DataChunk, serialize_packet
from google_crc32c import value as crc32c
from pylibsrtp import Error as SrtpError

from tests.fuzz.amount import EVENTS, SEED
from vivavoz.media import opus, rtcp, stun
from vivavoz.media.association import MAX_FRAGMENTS, MAX_MISORDERED
from vivavoz.media.config import MediaConfig
from vivavoz.media.ports import MediaFull
from vivavoz.media.rtp import RtpStream
from vivavoz.media.stun import Address

from .minipeer import MiniPeer, Wire
from .peers import RecordingSink, tone
from .test_engine import settle

DATAGRAMS = 5 * EVENTS  # 100,000
VOICE = opus.Encoder().encode(tone(20))


class Bystander:
    """A good call in the same engine: it speaks, hears and exchanges messages, 20 ms at a time."""

    def __init__(self, wire: Wire) -> None:
        self.sink = RecordingSink()
        self.peer = MiniPeer(wire, self.sink, address=("192.0.2.200", 1))
        self.peer.connect()
        self.steps = 0

    def step(self) -> None:
        """A frame each way, and every tenth time a message; all of it arrives."""
        self.steps += 1
        wire, peer = self.peer.wire, self.peer
        wire.now += 0.02
        wire.run()
        heard, sent = len(self.sink.audio), len(peer.rtp)
        peer.send(peer.speak(VOICE))
        peer.call.tick(wire.now, 0)
        wire.run()
        assert len(self.sink.audio) == heard + 960
        assert len(peer.rtp) == sent + 1
        if self.steps % 10 == 0:
            assert peer.call.send_event(f"to {self.steps}")
            assert peer.events is not None
            assert peer.events.send(f"from {self.steps}")
            wire.run()
            assert peer.messages[-1] == f"to {self.steps}"
            assert self.sink.events[-1] == f"from {self.steps}"

    def undisturbed(self) -> None:
        stats = self.peer.call.stats()
        assert self.sink.states == [("connected", "")]
        assert stats.packets_lost == stats.packets_discarded == stats.frames_concealed == 0
        assert stats.packets_received == self.steps
        assert stats.queued_ms == stats.bytes_buffered == 0


def recorded(wire: Wire, peer: MiniPeer, act: Callable[[], object]) -> list[bytes]:
    """What ``peer`` sends to the engine in ``act``."""
    kept: list[bytes] = []
    handle = wire.engine.handle

    def record(data: bytes, source: Address, now: float) -> bool:
        if source == peer.address:
            kept.append(data)
        return handle(data, source, now)

    wire.engine.handle = record  # type: ignore[method-assign]
    act()
    wire.engine.handle = handle  # type: ignore[method-assign]
    return kept


def a_good_call(wire: Wire, peer: MiniPeer) -> list[bytes]:
    """Every kind of datagram that a peer sends."""

    def act() -> None:
        peer.connect()
        for _ in range(10):
            peer.send(peer.speak(VOICE))
        assert peer.dtls.srtp is not None
        peer.send(peer.dtls.srtp.protect_rtcp(rtcp.receiver_report(77, [])))
        assert peer.events is not None
        peer.events.send("z" * 5000)
        wire.run()
        peer.check()
        wire.run()

    return recorded(wire, peer, act)


def damaged(source: random.Random, data: bytes, first: int = 0) -> bytes:
    """``data`` with up to six bytes changed from ``first`` on, cut, or drawn out."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 6)):
        if len(changed) > first:
            changed[source.randrange(first, len(changed))] = source.randrange(256)
    fate = source.random()
    if fate < 0.2:
        del changed[source.randrange(len(changed) + 1) :]
    elif fate < 0.25:
        changed += source.randbytes(source.randrange(1500))
    elif fate < 0.3:
        at = source.randrange(len(changed) + 1)
        changed[at:at] = changed[:at][-source.randint(1, 64) :]
    return bytes(changed) if changed != data else data[:-1]


def bounded(wire: Wire, peer: MiniPeer, calls: int) -> None:
    engine, call = wire.engine, peer.call
    assert engine.calls == len(engine._by_ufrag) == calls
    assert len(engine._by_address) <= 8 * calls
    assert all(len(addresses) <= 8 for addresses in engine._addresses.values())
    assert len(call._audio.receiver._held) <= 65
    if call._events is not None:
        association = call._events._association
        assert len(association._sack_misordered) <= MAX_MISORDERED
        assert sum(len(each.reassembly) for each in association._inbound_streams.values()) <= MAX_FRAGMENTS
        assert len(association._inbound_streams) <= 64


async def test_damaged_datagrams_harm_nobody() -> None:
    """100,000 damaged copies of what a good call sends, from its own address and from others."""
    source = random.Random(f"{SEED} datagrams")
    async with Wire() as wire:
        bystander = Bystander(wire)
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        good = a_good_call(wire, peer)
        kinds = {"stun" if data[0] < 4 else "dtls" if data[0] < 64 else "rtp" for data in good}
        assert kinds == {"stun", "dtls", "rtp"}
        heard = len(sink.audio)
        for number in range(DATAGRAMS):
            data = damaged(source, source.choice(good))
            there = peer.address if source.random() < 0.7 else ("198.51.100.7", source.randrange(1, 65536))
            wire.engine.handle(data, there, wire.now)
            if number % 500 == 0:
                bystander.step()
                bounded(wire, peer, 2)
                wire.sent.clear()
        wire.run()
        bystander.undisturbed()
        assert sink.states == [("connected", "")]
        assert len(sink.audio) == heard
        assert peer.call.stats().packets_discarded > DATAGRAMS // 20
        assert peer.call.send_event("still here")
        wire.run()
        assert peer.messages[-1] == "still here"


async def test_what_an_authentic_peer_damages_ends_at_most_its_own_call() -> None:
    """RTP, RTCP and SCTP, well encrypted and badly made."""
    source = random.Random(f"{SEED} authentic")
    async with Wire() as wire:
        bystander = Bystander(wire)
        rounds = max(20, DATAGRAMS // 1000)
        ends: dict[str, int] = {}
        for number in range(rounds):
            sink = RecordingSink()
            peer = MiniPeer(wire, sink, address=("192.0.2.9", 100 + number % 5000))
            peer.connect()
            srtp, events = peer.dtls.srtp, peer.events
            assert srtp is not None
            assert events is not None
            chunks: list[bytes] = []
            events._association.transport._transmit = chunks.append  # type: ignore[attr-defined]
            events.send("x" * 3000)
            report = (
                rtcp.receiver_report(77, [rtcp.ReportBlock(ssrc=1)]) + rtcp.cname(77, "me") + rtcp.bye(77)
            )
            stream = RtpStream(ssrc=77, payload_type=111, sequence=0, timestamp=0, step=960)
            for _ in range(100):
                kind = source.randrange(4)
                with contextlib.suppress(SrtpError, ValueError):  # libsrtp itself refuses to send some of it
                    if kind == 0:
                        packet = damaged(source, stream.packet(VOICE))
                        if len(packet) >= 12 and packet[0] >> 6 == 2:
                            peer.send(srtp.protect(packet))
                    elif kind == 1:
                        peer.send(srtp.protect_rtcp(damaged(source, report, first=4)))
                    elif kind == 2:
                        peer.dtls.send(resealed(damaged(source, source.choice(chunks), first=12)[:1200]))
                    else:
                        peer.dtls.send(resealed(source.choice(chunks)[:12] + any_chunk(source)))
                if peer.call.state == "closed":
                    break
                bounded(wire, peer, 2)
            bystander.step()
            await settle()
            ends[sink.states[-1][1]] = ends.get(sink.states[-1][1], 0) + 1
            peer.call.close("over")
            events.close()
            wire.run()
            wire.peers.pop(peer.address)
        bystander.undisturbed()
        assert wire.engine.calls == 1
        assert "internal error" not in ends
        assert len(ends) > 1, ends


def any_chunk(source: random.Random) -> bytes:
    """An SCTP chunk of a known kind (DATA to SHUTDOWN COMPLETE, RE-CONFIG, FORWARD TSN), of anything."""
    body = source.randbytes(source.choice((0, 4, 8, 12, 16, 20, 60)))
    kind = source.choice((*range(15), 130, 192))
    return bytes((kind, source.randrange(8))) + (4 + len(body)).to_bytes(2, "big") + body


def resealed(packet: bytes) -> bytes:
    """An SCTP packet with the checksum that belongs to it."""
    packet = packet.ljust(16, b"\0")
    sum_ = crc32c(packet[:8] + bytes(4) + packet[12:])
    return packet[:8] + sum_.to_bytes(4, "little") + packet[12:]


async def test_a_flood_from_unknown_addresses_leaves_nothing() -> None:
    source = random.Random(f"{SEED} flood")
    async with Wire() as wire:
        bystander = Bystander(wire)
        ufrag = bystander.peer.remote_ufrag
        floods = (
            lambda: source.randbytes(source.randrange(1500)),
            lambda: b"\x80" + source.randbytes(170),
            lambda: b"\x16\xfe\xfd" + source.randbytes(60),
            lambda: stun.binding_request(source.randbytes(12), "no:body", b"p" * 24, 1),
            lambda: stun.binding_request(source.randbytes(12), f"{ufrag}:mini", b"guess" * 5, 1),
        )
        answered = 0
        for number in range(20_000):
            there = (f"198.51.{source.randrange(256)}.{source.randrange(256)}", source.randrange(1, 65536))
            answered += wire.engine.handle(source.choice(floods)(), there, wire.now)
            if number % 500 == 0:
                bystander.step()
        assert answered == 0
        assert len(wire.engine._by_address) == 1
        assert not wire.sent
        bystander.undisturbed()


async def test_a_whole_call_replayed_changes_nothing() -> None:
    async with Wire() as wire:
        bystander = Bystander(wire)
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        good = a_good_call(wire, peer)
        before = (len(sink.audio), list(sink.events), list(sink.states), peer.call.stats().packets_received)
        for _ in range(5):
            for data in good:
                peer.send(data)
            bystander.step()
        wire.run()
        after = (len(sink.audio), list(sink.events), list(sink.states), peer.call.stats().packets_received)
        assert after == before
        secured = sum(data[0] >= 20 for data in good)
        assert peer.call.stats().packets_discarded == 5 * secured
        assert peer.call.send_event("still here")
        wire.run()
        assert peer.messages[-1] == "still here"
        bystander.undisturbed()


async def test_a_call_replayed_from_elsewhere_moves_nothing_but_its_path() -> None:
    """A check can be replayed while its password holds (it is one call's); nothing else from there counts,
    and the peer's next check takes the path back."""
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        good = a_good_call(wire, peer)
        heard = len(sink.audio)
        for data in good:
            wire.engine.handle(data, ("198.51.100.7", 7), wire.now)
        assert len(sink.audio) == heard
        assert sink.states == [("connected", "")]
        peer.check()
        assert peer.call.ice.selected == peer.address


async def test_a_sender_at_double_speed_is_bounded_and_alone() -> None:
    async with Wire() as wire:
        bystander = Bystander(wire)
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        for _ in range(500):
            for _ in range(2):
                peer.send(peer.speak(VOICE))
            bystander.step()
            peer.call.tick(wire.now, 0)
        wire.run()
        stats = peer.call.stats()
        assert len(sink.audio) / 48_000 <= 500 * 0.02 + 1.1
        assert stats.packets_discarded >= 400
        assert sink.state == "connected"
        bystander.undisturbed()


async def test_a_peer_that_sends_nothing_gets_time_and_silence_and_then_its_end() -> None:
    async with Wire() as wire:
        bystander = Bystander(wire)
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        for _ in range(249):
            bystander.step()
            peer.call.tick(wire.now, 0)
        assert sink.state == "connected"
        assert not any(sink.audio)
        assert 4.7 <= len(sink.audio) / 48_000 <= 5.0
        for _ in range(3):
            bystander.step()
            peer.call.tick(wire.now, 0)
        await settle()
        assert sink.states[-1] == ("closed", "the peer vanished")
        bystander.undisturbed()


async def test_streams_that_change_all_the_time_are_bounded() -> None:
    """Strays are dropped, a stream that goes on is taken, and only so many are remembered."""
    async with Wire() as wire:
        bystander = Bystander(wire)
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()

        def change(ssrc: int) -> None:
            peer.stream = RtpStream(ssrc=ssrc, payload_type=111, sequence=0, timestamp=0, step=960)

        for ssrc in range(1, 51):
            change(ssrc)
            peer.send(peer.speak(VOICE))
        for _ in range(10):
            peer.send(peer.speak(VOICE))
        assert peer.call._audio.receiver.ssrc == 50
        last = peer.stream
        heard = len(sink.audio)
        for ssrc in range(51, 2001):
            change(ssrc)
            peer.send(peer.speak(VOICE))
            peer.send(peer.speak(VOICE))
            if ssrc % 100 == 0:
                bystander.step()
        assert peer.call._audio._srtp is not None
        assert len(peer.call._audio._srtp._streams) == 64
        assert len(sink.audio) - heard <= 14 * 2 * 960
        assert peer.call.stats().packets_discarded >= 2 * (2000 - 64)
        peer.stream = last
        heard = len(sink.audio)
        for _ in range(3):
            peer.send(peer.speak(VOICE))
        assert len(sink.audio) > heard
        assert sink.state == "connected"
        bystander.undisturbed()


async def test_a_video_section_is_refused_and_its_packets_are_dropped() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
        answer, call = wire.engine.accept(MiniPeer.offer() + video, sink)
        assert "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n" in answer
        assert "a=group:BUNDLE 0 1\r\n" in answer
        call.close("seen")
        peer = MiniPeer(wire, sink, address=("192.0.2.9", 2))
        peer.connect()
        peer.stream = RtpStream(ssrc=5, payload_type=96, sequence=0, timestamp=0, step=3000)
        for _ in range(50):
            peer.send(peer.speak(b"\x90" + bytes(900)))
        assert not sink.audio
        assert peer.call.stats().packets_discarded == 50


async def test_a_flood_of_offers_ends_at_the_limit() -> None:
    async with Wire(MediaConfig(max_calls=10)) as wire:
        bystander = Bystander(wire)
        calls = [wire.engine.accept(MiniPeer.offer(), RecordingSink())[1] for _ in range(9)]
        for _ in range(100):
            with pytest.raises(MediaFull):
                wire.engine.accept(MiniPeer.offer(), RecordingSink())
        bystander.step()
        for call in calls:
            call.tick(wire.now + 60, 0)
        assert wire.engine.calls == 1
        bystander.undisturbed()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (0, "a message comes in too many pieces"),
        (4, "an unordered message comes in too many pieces"),  # U
        (5, "an unordered message comes in too many pieces"),  # U and E: ends that have no beginning
    ],
)
async def test_a_message_in_crumbs_ends_the_call_before_it_fills_the_memory(flags: int, says: str) -> None:
    """Each chunk costs its object: a million of one byte are half a gigabyte."""
    async with Wire() as wire:
        bystander = Bystander(wire)
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        assert peer.events is not None
        association = peer.events._association
        for number in range(2 * MAX_FRAGMENTS):
            chunk = _crumb(association._local_tsn + number, flags or 2 * (not number))
            peer.dtls.send(serialize_packet(5000, 5000, association._remote_verification_tag, chunk))
            wire.sent.clear()
            if peer.call.state == "closed":
                break
            bounded(wire, peer, 2)
        await settle()
        assert sink.states[-1] == ("closed", says)
        bystander.step()
        bystander.undisturbed()


async def test_chunks_far_ahead_are_not_kept_without_end() -> None:
    """Every second chunk only: what is held for the missing ones, and what is said of them, has bounds."""
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        assert peer.events is not None
        association = peer.events._association
        largest = 0
        for number in range(3 * MAX_MISORDERED):
            chunk = _crumb(association._local_tsn + 1 + 2 * number, 0)
            peer.dtls.send(serialize_packet(5000, 5000, association._remote_verification_tag, chunk))
            largest = max([largest, *(len(data) for data, _ in wire.sent)])
            wire.sent.clear()
            bounded(wire, peer, 1)
        assert sink.state == "connected"
        assert largest <= 1200


def _crumb(tsn: int, flags: int) -> DataChunk:
    chunk = DataChunk(flags=flags)
    chunk.tsn = tsn % (1 << 32)
    chunk.stream_id = 0
    chunk.stream_seq = 1
    chunk.protocol = 51
    chunk.user_data = b"x"
    return chunk
