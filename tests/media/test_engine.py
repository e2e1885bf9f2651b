"""The engine and its calls, peers coupled in memory and time given by hand."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import weakref

import pytest
from aiortc.rtp import RtcpPacket, RtcpSrPacket

from vivavoz.media import opus, rtcp, rtp, stun
from vivavoz.media.config import MediaConfig
from vivavoz.media.dtls import Identity
from vivavoz.media.ports import MediaError, MediaFull, Played, PlayoutFull

from .minipeer import MiniPeer, Wire
from .peers import RecordingSink, loudness, tone

VOICE = opus.Encoder().encode(tone(20))


async def settle() -> None:
    """Let what was put off to the loop happen."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
async def test_a_call_connects_in_either_dtls_role(setup: str) -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink, setup=setup)
        peer.connect()
        assert sink.states == [("connected", "")]
        assert f"a=setup:{'passive' if setup == 'active' else 'active'}" in peer.answer
        assert sink.events == ["open"]
        assert peer.call.send_event("welcome")
        wire.run()
        assert peer.messages == ["welcome"]


async def test_messages_sent_before_the_channel_opens_wait_for_it() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        assert peer.call.send_event("first")
        assert peer.call.send_event("second")
        peer.connect()
        assert peer.messages == ["first", "second"]


async def test_without_a_channel_sound_alone_makes_a_call() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink, events=False)
        peer.connect()
        assert sink.state == "connected"
        assert peer.call.send_event("nobody hears this")
        assert peer.call.stats().bytes_buffered == 0


async def test_a_channel_that_nobody_opens_is_not_waited_for_for_ever() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.events = None
        peer.connect()
        assert peer.call.state == "connecting"
        peer.call.tick(wire.now + 5.5, 0)
        assert peer.call.state == "connected"


async def test_sound_is_decoded_as_it_arrives() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        encoder, pcm = opus.Encoder(), tone(400)
        for at in range(0, len(pcm), 960):
            before = len(sink.audio)
            peer.send(peer.speak(encoder.encode(pcm[at : at + 960])))
            assert len(sink.audio) == before + 960
        assert loudness(bytes(sink.audio)) > 0.15
        assert peer.call.stats().packets_received == 20


async def test_replayed_and_forged_packets_are_dropped() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        packet = peer.speak(opus.Encoder().encode(bytes(960)))
        peer.send(packet)
        peer.send(packet)
        peer.send(packet[:-1] + bytes([packet[-1] ^ 1]))
        assert len(sink.audio) == 960
        assert peer.call.stats().packets_discarded == 2


async def test_what_is_written_leaves_paced_and_is_accounted_for() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        peer.rtp.clear()
        peer.call.write(tone(50), "a")
        peer.call.end("a")
        assert peer.call.queued_ms == 50
        for _ in range(4):
            peer.call.tick(wire.now, 0)
        wire.run()
        packets = [rtp.parse(data) for data in peer.rtp]
        assert len(packets) == 4
        assert [p.timestamp - packets[0].timestamp & 0xFFFFFFFF for p in packets if p and packets[0]] == [
            0, 960, 1920, 2880,
        ]  # fmt: skip
        assert sink.playing == ["a"]
        assert sink.played == [Played("a", 1200, True)]
        assert peer.call.stats().packets_sent >= 4


async def test_a_flush_says_what_was_heard() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        peer.call.write(tone(1000), "a")
        for _ in range(5):
            peer.call.tick(wire.now, 0)
        assert peer.call.flush() == [Played("a", 2400)]
        peer.call.tick(wire.now, 0)
        assert sink.played == []


async def test_a_monitor_is_told_of_what_leaves_and_of_no_silence() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        heard: list[bytes] = []
        peer.call.monitor(heard.append)
        peer.call.tick(wire.now, 0)
        peer.call.write(sound := tone(60), "a")
        peer.call.end("a")
        for _ in range(2):
            peer.call.tick(wire.now, 0)
        peer.call.monitor(None)
        for _ in range(2):
            peer.call.tick(wire.now, 0)
        assert b"".join(heard) == sound[: 2 * 960]


async def test_the_playout_is_bounded() -> None:
    async with Wire(MediaConfig(playout_ms=1000)) as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.call.write(tone(900), "a")
        with pytest.raises(PlayoutFull):
            peer.call.write(tone(200), "a")


async def test_the_outbox_is_bounded() -> None:
    async with Wire(MediaConfig(outbox=100_000)) as wire:
        peer = MiniPeer(wire, RecordingSink())
        accepted = sum(peer.call.send_event("x" * 1000) for _ in range(200))
        assert accepted == 100
        assert peer.call.stats().bytes_buffered == 100_000
        peer.connect()
        assert len(peer.messages) == 100
        assert peer.call.stats().bytes_buffered == 0


async def test_large_messages_get_through_and_fit_the_path() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        largest = 0
        transmit = wire.engine.transmit

        def watch(data: bytes, address: stun.Address) -> None:
            nonlocal largest
            largest = max(largest, len(data))
            transmit(data, address)

        wire.engine.transmit = watch  # type: ignore[method-assign]
        assert peer.call.send_event("ö" * 200_000)
        wire.run()
        assert peer.messages == ["ö" * 200_000]
        assert peer.events is not None
        assert peer.events.send("y" * 700_000)
        wire.run()
        assert sink.events[-1] == "y" * 700_000
        assert largest <= 1280 - 48


@pytest.mark.parametrize("size", [10_001, 400_000])
async def test_a_message_larger_than_announced_ends_the_call(size: int) -> None:
    async with Wire(MediaConfig(max_message=10_000)) as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        assert peer.events is not None
        assert peer.events.send("x" * 10_000)
        wire.run()
        assert sink.events[-1] == "x" * 10_000
        peer.events.send("y" * size)
        wire.run()
        await settle()
        assert sink.states[-1] == ("closed", "a message is larger than announced")


async def test_the_wrong_certificate_is_refused() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink, fingerprint=":".join(["00"] * 32))
        assert peer.answer
        peer.dtls.start()
        peer.check()
        wire.run()
        await settle()
        assert sink.states == [("closed", "the peer's certificate does not match the offer's fingerprint")]
        assert wire.engine.calls == 0


async def test_checks_are_answered_only_when_authentic() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        assert not peer.check(password=b"wrong")
        assert not wire.sent
        assert peer.check(nominate=False)
        wire.run()
        assert [message.kind for message in peer.stun_answers] == [stun.BINDING_SUCCESS]
        peer.check(controlled=True)
        wire.run()
        assert peer.stun_answers[-1].kind == stun.BINDING_ERROR


async def test_a_nomination_decides_where_packets_go() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        first, second = ("198.51.100.1", 1), ("198.51.100.1", 2)
        peer.check(source=first, nominate=False)
        assert peer.call.ice.selected == first
        peer.check(source=second, nominate=False)
        assert peer.call.ice.selected == first
        peer.check(source=second)
        assert peer.call.ice.selected == second
        wire.now += 3  # a peer that moved, and whose checks do not nominate again
        peer.check(source=first, nominate=False)
        assert peer.call.ice.selected == first


async def test_packets_from_an_address_nobody_vouched_for_are_dropped() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        elsewhere = ("198.51.100.1", 9)
        packet = peer.speak(opus.Encoder().encode(bytes(960)))
        assert not peer.send(packet, source=elsewhere)
        assert not sink.audio
        assert not peer.check(source=elsewhere, password=b"wrong")
        assert peer.call.ice.selected == peer.address
        peer.check(source=elsewhere)
        assert peer.call.ice.selected == elsewhere
        assert peer.send(packet, source=elsewhere)
        assert sink.audio


async def test_this_machine_only_means_this_machine_only() -> None:
    async with Wire(MediaConfig(local_only=True)) as wire:
        peer = MiniPeer(wire, RecordingSink())
        assert not peer.check(source=("198.51.100.1", 9))
        assert peer.check(source=("::ffff:127.0.0.1", 9))
        assert peer.check(source=("127.0.0.1", 9))
        assert not peer.check(source=("198.51.100.1", 10))


async def test_an_address_belongs_to_the_last_call_that_proved_it() -> None:
    async with Wire() as wire:
        first = MiniPeer(wire, RecordingSink(), address=("192.0.2.9", 1))
        first.connect()
        sink = RecordingSink()
        second = MiniPeer(wire, sink, address=("192.0.2.9", 1))
        second.connect()
        first.call.close("its port is another call's now")
        wire.run()
        second.send(second.speak(opus.Encoder().encode(bytes(960))))
        assert len(sink.audio) == 960


async def test_a_check_must_name_both_sides() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        assert not peer.check(remote="somebody")
        assert not wire.sent


async def test_a_peer_has_only_so_many_addresses() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        for port in range(1000):
            peer.check(source=("198.51.100.1", 1000 + port), nominate=False)
        assert len(wire.engine._by_address) == 8
        assert peer.address in wire.engine._by_address


async def test_a_vanished_peer_is_noticed() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        peer.call.tick(wire.now + 4.9, 0)
        assert peer.call.state == "connected"
        peer.call.tick(wire.now + 5.1, 0)
        await settle()
        assert sink.states[-1] == ("closed", "the peer vanished")


async def test_a_quiet_peer_is_asked_and_lives_on() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        for _ in range(30):
            wire.now += 0.5
            peer.call.tick(wire.now, 0)
            wire.run()
            for message in peer.stun_answers:
                if message.kind == stun.BINDING_REQUEST:
                    peer.send(
                        stun.binding_success(message.transaction, ("127.0.0.1", 1), b"p" * 24),
                    )
            peer.stun_answers.clear()
        assert sink.state == "connected"


async def test_a_forged_answer_to_a_probe_keeps_nobody_alive() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        peer.call.tick(wire.now + 3, 0)
        wire.run()
        (probe,) = [message for message in peer.stun_answers if message.kind == stun.BINDING_REQUEST]
        assert not peer.send(stun.binding_success(probe.transaction, ("127.0.0.1", 1), b"wrong"))
        assert not peer.send(stun.binding_success(b"x" * 12, ("127.0.0.1", 1), b"p" * 24))


async def test_a_peer_that_never_connects_is_given_up() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.call.tick(wire.now + 14, 0)
        assert peer.call.state == "connecting"
        peer.call.tick(wire.now + 16, 0)
        await settle()
        assert sink.states == [("closed", "the peer never connected")]


async def test_a_goodbye_closes_both_ways() -> None:
    async with Wire() as wire:
        sinks = [RecordingSink(), RecordingSink()]
        ours, theirs = (MiniPeer(wire, sink, address=("192.0.2.9", 5000 + n)) for n, sink in enumerate(sinks))
        ours.connect()
        theirs.connect()
        ours.call.close("enough")
        ours.call.close("again")
        wire.run()
        await settle()
        assert sinks[0].states[1:] == [("closed", "enough")]
        assert ours.dtls.closed
        reports = [rtcp.parse(data) for data in ours.rtcp]
        assert any(report.bye for report in reports if report)
        theirs.dtls.close()
        await settle()
        assert sinks[1].states[1:] == [("closed", "the peer hung up")]
        assert wire.engine.calls == 0


async def test_a_closed_call_takes_no_more() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        peer.call.close("over")
        peer.call.write(tone(20), "a")
        peer.call.end("a")
        assert not peer.call.send_event("x")
        assert peer.call.queued_ms == 0
        assert peer.call.flush() == []


async def test_reports_are_sent_and_read() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        encoder = opus.Encoder()
        peer.send(peer.speak(encoder.encode(bytes(960))))
        for step in range(150):
            peer.call.tick(wire.now + step * 0.02, 0)
        wire.run()
        reports = [rtcp.parse(data) for data in peer.rtcp]
        assert reports
        assert reports[0]
        ((ssrc, middle),) = reports[0].senders.items()
        assert [block.ssrc for block in reports[0].blocks] == [77]
        assert peer.dtls.srtp is not None
        block = rtcp.ReportBlock(ssrc=ssrc, last_sr=middle, delay_since_sr=0)
        peer.send(peer.dtls.srtp.protect_rtcp(rtcp.receiver_report(77, [block])))
        rtt = peer.call.stats().rtt_ms
        assert rtt is not None
        assert 0 <= rtt < 60_000


async def test_a_sender_report_says_when_the_last_frame_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two times are of one moment (RFC 3550 section 6.4.1), and it counts packets and payload."""
    wall = 1_800_000_000.25
    monkeypatch.setattr("vivavoz.media.audio.time.time", lambda: wall)
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        for step in range(1, 200):
            peer.call.tick(wire.now + step * 0.02, 0)
            wire.run()
            if peer.rtcp:
                break
        packets = [packet for data in peer.rtp if (packet := rtp.parse(data)) is not None]
        report, *_ = RtcpPacket.parse(peer.rtcp[0])
        assert isinstance(report, RtcpSrPacket)
        assert report.sender_info.rtp_timestamp == packets[-1].timestamp
        assert report.sender_info.ntp_timestamp == int((wall + 2208988800) * 2**32)
        assert report.sender_info.packet_count == len(packets)
        assert report.sender_info.octet_count == sum(len(packet.payload) for packet in packets)


async def test_a_receiver_report_says_what_was_lost_since_the_last_and_how_it_jittered() -> None:
    async with Wire() as wire:
        peer = MiniPeer(wire, RecordingSink())
        peer.connect()
        assert peer.dtls.srtp is not None
        peer.send(peer.speak(VOICE))
        report = rtcp.sender_report(77, 0x1234567890ABCDEF, 0, 1, 1, []) + rtcp.cname(77, "me")
        peer.send(peer.dtls.srtp.protect_rtcp(report))
        asked = wire.now
        blocks = []
        for step in range(1, 700):
            wire.now += 0.02
            data = peer.speak(VOICE)
            # Of the first 350 every tenth is lost; every other packet is 8 ms late.
            if step > 350 or step % 10:
                wire.engine.handle(data, peer.address, wire.now + 0.008 * (step % 2))
            peer.call.tick(wire.now + 0.009, 0)
            wire.run()
            while peer.rtcp:
                reports = rtcp.parse(peer.rtcp.pop(0))
                assert reports is not None
                (block,) = reports.blocks
                blocks.append((wire.now, block))
        assert len(blocks) >= 4
        during = [block for now, block in blocks if now - asked < 7]
        after = [block for now, block in blocks if now - asked > 10]
        assert {block.fraction_lost for block in during} <= set(range(20, 32)), "a tenth of 256"
        assert {block.fraction_lost for block in after[1:]} <= {0}
        assert after[-1].lost == 35
        assert 250 <= after[-1].jitter <= 400, "8 ms are 384 units of the RTP clock"
        assert after[-1].last_sr == 0x567890AB
        for now, block in blocks:
            assert block.delay_since_sr / 65536 == pytest.approx(now + 0.009 - asked, abs=0.001)


async def test_a_sink_that_raises_ends_its_own_call_only() -> None:
    class Broken(RecordingSink):
        def on_audio(self, pcm: bytes) -> None:
            raise RuntimeError("a bug")

    async with Wire() as wire:
        broken, well = Broken(), RecordingSink()
        one = MiniPeer(wire, broken, address=("192.0.2.9", 1))
        two = MiniPeer(wire, well, address=("192.0.2.9", 2))
        for peer in (one, two):
            peer.connect()
            peer.send(peer.speak(opus.Encoder().encode(bytes(960))))
        await settle()
        assert broken.states[-1] == ("closed", "internal error")
        assert well.state == "connected"
        assert len(well.audio) == 960


async def test_there_are_only_so_many_calls() -> None:
    async with Wire(MediaConfig(max_calls=2)) as wire:
        calls = [MiniPeer(wire, RecordingSink(), address=("192.0.2.9", n)).call for n in (1, 2)]
        with pytest.raises(MediaFull):
            MiniPeer(wire, RecordingSink())
        calls[0].close("over")
        assert MiniPeer(wire, RecordingSink()).answer


async def test_a_bad_offer_leaves_nothing_behind() -> None:
    async with Wire() as wire:
        for _ in range(10):
            with pytest.raises(MediaError, match="v=0"):
                wire.engine.accept("garbage", RecordingSink())
        assert wire.engine.calls == 0
        assert not len(wire.engine._pacer)


async def test_stopping_closes_every_call() -> None:
    sink = RecordingSink()
    async with Wire() as wire:
        MiniPeer(wire, sink).connect()
    assert sink.states[-1] == ("closed", "the service is stopping")
    with pytest.raises(MediaFull):
        wire.engine.accept(MiniPeer.offer(), sink)


async def test_calls_come_and_go_and_nothing_stays() -> None:
    async with Wire() as wire:
        tasks = len(asyncio.all_tasks())
        gone: list[weakref.ref[object]] = []
        for number in range(50):
            peer = MiniPeer(wire, RecordingSink(), address=("192.0.2.9", 5000 + number))
            if number % 5:
                peer.connect()
            peer.call.write(tone(100), "a")
            gone.append(weakref.ref(peer.call))
            if number % 2 and peer.dtls.srtp is not None:
                peer.dtls.close()
            else:
                peer.call.close("over")
            if peer.events is not None:
                peer.events.close()
            wire.run()
            wire.peers.clear()
            del peer
        await settle()
        engine = wire.engine
        assert engine.calls == 0
        assert [engine._by_address, engine._by_ufrag, engine._addresses, engine._ufrags] == [{}] * 4
        assert not len(engine._pacer)
        assert len(asyncio.all_tasks()) == tasks
        gc.collect()
        assert [ref for ref in gone if ref() is not None] == []


async def test_what_piled_up_is_read_at_once() -> None:
    async with Wire() as wire:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(200):
                stranger.sendto(b"\x80garbage", ("127.0.0.1", wire.engine.port))
        wire.engine._drain()
        assert wire.engine.stats.datagrams_received == 200
        assert wire.engine.stats.dropped == {"stranger": 200}


async def test_a_flood_is_read_in_batches_that_leave_others_their_turn() -> None:
    async with Wire() as wire:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(150):
                stranger.sendto(b"\x80garbage", ("127.0.0.1", wire.engine.port))
        seen = []
        while wire.engine._readable():
            seen.append(wire.engine.stats.datagrams_received)
        assert seen == [64, 128]
        assert wire.engine.stats.datagrams_received == 150


async def test_garbage_in_the_handshake_is_survived() -> None:
    rng = random.Random(9)
    async with Wire() as wire:
        for number in range(20):
            sink = RecordingSink()
            peer = MiniPeer(wire, sink, address=("192.0.2.9", 1 + number), setup="active")
            peer.check()
            for _ in range(50):
                peer.send(bytes([rng.choice([20, 21, 22, 23, 63])]) + rng.randbytes(rng.randrange(200)))
            peer.call.close("over")
        await settle()
        assert wire.engine.calls == 0


async def test_the_certificate_is_renewed_in_time() -> None:
    async with Wire() as wire:
        first = MiniPeer(wire, RecordingSink(), address=("192.0.2.9", 1))
        wire.engine._identity = Identity(days=0)
        assert wire.engine._identity.stale
        sink = RecordingSink()
        second = MiniPeer(wire, sink, address=("192.0.2.9", 2))
        assert not wire.engine._identity.stale
        second.connect()
        first.connect()
        assert sink.state == first.call.state == "connected"


@pytest.mark.parametrize("where", ["on_event", "on_audio", "on_playing", "on_played", "on_state"])
async def test_a_call_may_be_closed_from_any_callback(where: str) -> None:
    class Closing(RecordingSink):
        peer: MiniPeer
        closed = False

    def close(*_: object) -> None:
        if sink.peer.call.state != "closed":
            sink.peer.call.close("from a callback")
            sink.closed = True

    async with Wire() as wire:
        sink = Closing()
        setattr(sink, where, close)
        sink.peer = peer = MiniPeer(wire, sink)
        peer.connect()
        if peer.dtls.srtp is not None:
            peer.call.write(tone(10), "a")
            peer.call.end("a")
            peer.send(peer.speak(opus.Encoder().encode(bytes(960))))
        for step in range(3):
            peer.call.tick(wire.now + step * 0.02, 0)
        wire.run()
        await settle()
        assert sink.closed
        assert wire.engine.calls == 0


async def test_a_forged_alert_ends_nothing_and_a_real_one_does() -> None:
    async with Wire() as wire:
        sink = RecordingSink()
        peer = MiniPeer(wire, sink)
        peer.connect()
        for data in (b"", b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"):
            peer.send(data.ljust(3, b"\x15"))  # forged, in the clear
        assert sink.state == "connected"
        peer.dtls.close()
        await settle()
        assert sink.states[-1] == ("closed", "the peer hung up")
