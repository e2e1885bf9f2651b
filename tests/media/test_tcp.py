"""Media over TCP (RFC 6544): a call goes through one connection; connections that are no call's go away."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import AsyncIterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoz.media import opus, rtp, stun, tcp
from vivavoz.media.config import MediaConfig
from vivavoz.media.engine import LeanEngine
from vivavoz.media.tcp import TcpAddress, TcpPortError

from .minipeer import MiniPeer
from .peers import TIMEOUT, RecordingSink, loudness, running, tone
from .socketpeer import SocketPeer, frame, over_tcp, over_udp


@pytest.fixture
async def engine() -> AsyncIterator[LeanEngine]:
    async with running(MediaConfig(tcp_port=0)) as started:
        yield started


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends."""
    async with asyncio.timeout(TIMEOUT):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def until_gone(engine: LeanEngine) -> None:
    """Until the engine has no connection."""
    async with asyncio.timeout(TIMEOUT):
        while len(engine._tcp):  # noqa: ASYNC110 - the listener tells nobody
            await asyncio.sleep(0.01)


def candidates(answer: str) -> list[list[str]]:
    return [line.split() for line in answer.split("\r\n") if line.startswith("a=candidate")]


async def test_the_answer_names_tcp_after_udp() -> None:
    config = MediaConfig(tcp_port=0, advertise=("203.0.113.5", "2001:db8::1"))
    async with running(config) as engine:
        answer, _ = engine.accept(MiniPeer.offer(), RecordingSink())
        found = candidates(answer)
        assert [(each[2], each[4], int(each[5])) for each in found] == [
            ("udp", "203.0.113.5", engine.port),
            ("udp", "2001:db8::1", engine.port),
            ("tcp", "203.0.113.5", engine.tcp_port),
            ("tcp", "2001:db8::1", engine.tcp_port),
        ]
        assert [each[8:] for each in found] == [[], [], ["tcptype", "passive"], ["tcptype", "passive"]]
        priorities = [int(each[3]) for each in found]
        assert priorities == sorted(priorities, reverse=True)
        assert len({each[0] for each in found}) == len(found)
        assert all(0 < priority < 1 << 31 for priority in priorities)


async def test_without_the_option_there_is_no_tcp() -> None:
    async with running() as engine:
        answer, _ = engine.accept(MiniPeer.offer(), RecordingSink())
        assert {each[2] for each in candidates(answer)} == {"udp"}
        assert engine.tcp_port == 0


async def test_a_call_over_tcp_alone(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer):
        await peer.connected()
        assert isinstance(peer.call.ice.selected, TcpAddress)
        assert peer.call.send_event("x" * 200_000)
        await peer.until(lambda: peer.messages)
        assert peer.messages == ["x" * 200_000]
        assert peer.events is not None
        assert peer.events.send("y" * 200_000)
        await sink.wait_for(lambda: "y" * 200_000 in sink.events)
        encoder, pcm = opus.Encoder(), tone(200)
        for at in range(0, len(pcm), 960):
            peer.send(peer.speak(encoder.encode(pcm[at : at + 960])))
        await sink.wait_for(lambda: loudness(bytes(sink.audio)) > 0.05)
        peer.call.write(tone(200), "a")
        peer.call.end("a")
        await sink.wait_for(lambda: sink.played)
        await peer.until(lambda: len(peer.rtp) >= 10)
        peer.call.close("enough")
        await peer.until(lambda: peer.dtls.closed)
        await until_gone(engine)
    assert engine.stats.connections_accepted == 1
    assert engine.stats.connections_refused == 0
    assert engine.calls == 0
    assert engine._by_address == {}


async def test_frames_may_come_in_any_pieces(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer) as writer:
        await peer.connected()
        encoder = opus.Encoder()
        packets = [peer.speak(encoder.encode(tone(20))) for _ in range(8)]
        stream = frame(b"") + b"".join(map(frame, packets)) + frame(b"")
        for at in range(0, len(stream), 7):
            writer.write(stream[at : at + 7])
            await writer.drain()
            await asyncio.sleep(0)
        await sink.wait_for(lambda: peer.call.stats().packets_received == 8)


async def test_a_lost_connection_is_replaced_by_another(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer) as writer:
        await peer.connected()
        first = peer.call.ice.selected
        writer.transport.abort()
        await until_gone(engine)
    assert peer.call.ice.selected is None
    assert engine._by_address == {}
    assert sink.state == "connected"
    async with over_tcp(peer):
        peer.check(nominate=False)
        await peer.until(lambda: len(peer.stun_answers) == 2)
        assert peer.call.ice.selected not in (None, first)
        assert peer.call.send_event("again")
        await peer.until(lambda: peer.messages == ["again"])


async def test_a_call_moves_from_udp_to_tcp(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_udp(peer, "127.0.0.1"):
        await peer.connected()
        async with over_tcp(peer):
            peer.check()
            await peer.until(lambda: len(peer.stun_answers) == 2)
            assert isinstance(peer.call.ice.selected, TcpAddress)
            assert peer.call.send_event("over here")
            await peer.until(lambda: peer.messages == ["over here"])


async def test_a_peer_whose_connection_is_lost_for_good_is_noticed() -> None:
    async with running(MediaConfig(tcp_port=0, consent_timeout=0.5)) as engine:
        sink = RecordingSink()
        peer = SocketPeer(engine, sink)
        async with over_tcp(peer):
            await peer.connected()
        await sink.wait_for(lambda: sink.state == "closed")
        assert sink.states[-1] == ("closed", "the peer vanished")


async def test_two_calls_over_two_connections_do_not_mix(engine: LeanEngine) -> None:
    sinks = [RecordingSink(), RecordingSink()]
    one, two = (SocketPeer(engine, sink, address=("192.0.2.1", number)) for number, sink in enumerate(sinks))
    async with over_tcp(one), over_tcp(two):
        await one.connected()
        await two.connected()
        assert one.call.send_event("for one")
        assert two.call.send_event("for two")
        await one.until(lambda: one.messages)
        await two.until(lambda: two.messages)
        assert (one.messages, two.messages) == (["for one"], ["for two"])


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"\x80garbage"),
        frame(b"\x16\xfe\xfd" + bytes(10)),
        frame(stun.binding_request(b"t" * 12, "nobody:knows", b"p" * 24, 1)),
        (2049).to_bytes(2, "big"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["rtp", "dtls", "stranger", "too long", "http"],
)
async def test_who_sends_no_good_check_first_is_cut_off(engine: LeanEngine, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.tcp_port)
    writer.write(sent)
    assert await ended(reader) == b""
    await until_gone(engine)
    assert engine.stats.connections_refused == 1
    writer.close()


async def test_a_broken_frame_ends_the_connection_and_not_the_call(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer) as writer:
        await peer.connected()
        writer.write(b"\xff\xff" + bytes(100))
        await until_gone(engine)
    assert sink.state == "connected"
    assert peer.call.ice.selected is None


async def test_idle_connections_are_dropped(engine: LeanEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_PROVE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.tcp_port)
    writer.write(b"\x00")  # half a length, and then nothing
    assert await ended(reader) == b""
    assert engine.stats.connections_refused == 1
    writer.close()


async def test_a_flood_of_connections_is_bounded_and_a_call_gets_through(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer):
        await peer.connected()
        strangers = []
        for _ in range(150):
            strangers.append(await asyncio.open_connection("127.0.0.1", engine.tcp_port))
            assert len(engine._tcp._unproven) <= tcp._MAX_UNPROVEN
        await asyncio.gather(*(ended(reader) for reader, _ in strangers[:80]))
        assert len(engine._tcp) <= 1 + tcp._MAX_UNPROVEN
        late = SocketPeer(engine, RecordingSink(), address=("192.0.2.1", 1))
        async with over_tcp(late):
            await late.connected()
        assert peer.call.send_event("still here")
        await peer.until(lambda: peer.messages == ["still here"])
        for _, writer in strangers:
            writer.close()


async def test_a_peer_that_reads_nothing_loses_sound_and_nothing_grows(engine: LeanEngine) -> None:
    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer) as writer:
        await peer.connected()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = engine._tcp._connections.values()
        assert peer.call.send_event("z" * 1_000_000)
        stream = rtp.RtpStream(ssrc=1, payload_type=111, sequence=0, timestamp=0, step=960)
        before = engine.stats.send_failures
        for _ in range(30_000):
            engine.transmit(stream.packet(bytes(150)), connection.address)
        waiting = connection.transport.get_write_buffer_size()
        assert waiting <= tcp._MAX_EVENTS + 2048
        dropped = engine.stats.send_failures - before
        assert dropped > 1000
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await peer.until(lambda: peer.messages == ["z" * 1_000_000])
        assert sink.state == "connected"


@pytest.mark.parametrize(("first", "kept"), [(23, tcp._MAX_EVENTS), (1, tcp._MAX_EVENTS), (128, 2048)])
async def test_what_waits_for_a_peer_that_reads_nothing_is_bounded(
    engine: LeanEngine, first: int, kept: int
) -> None:
    """Events and checks (which are repeated), and sound, of which none may come late."""
    peer = SocketPeer(engine, RecordingSink())
    async with over_tcp(peer) as writer:
        await peer.connected()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = engine._tcp._connections.values()
        for _ in range(20_000):
            engine.transmit(bytes([first]) + bytes(1000), connection.address)
        assert connection.transport.get_write_buffer_size() <= kept + 1003
        assert engine.stats.send_failures > 10_000


async def test_this_machine_only_means_tcp_too(engine: LeanEngine) -> None:
    engine._own = frozenset(("192.0.2.1",))
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.tcp_port)
    assert await ended(reader) == b""
    writer.close()
    engine._own = frozenset(("127.0.0.1",))
    peer = SocketPeer(engine, RecordingSink())
    async with over_tcp(peer):
        await peer.connected()


async def test_a_taken_port_is_told_apart(engine: LeanEngine) -> None:
    second = LeanEngine(MediaConfig(tcp_port=engine.tcp_port))
    with pytest.raises(TcpPortError, match="in use"):
        await second.start()
    assert second.port == 0


def test_it_runs_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def call() -> None:
        async with running(MediaConfig(tcp_port=0)) as engine:
            peer = SocketPeer(engine, RecordingSink())
            async with over_tcp(peer):
                await peer.connected()
                peer.call.write(tone(100), "a")
                await peer.until(lambda: len(peer.rtp) >= 5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())


async def test_stopping_ends_the_connections() -> None:
    sink = RecordingSink()
    async with running(MediaConfig(tcp_port=0)) as engine:
        peer = SocketPeer(engine, sink)
        link = over_tcp(peer)
        await link.__aenter__()
        await peer.connected()
    await peer.until(lambda: peer.dtls.closed)
    assert sink.states[-1] == ("closed", "the service is stopping")
    await link.__aexit__(None, None, None)
    assert engine.tcp_port == 0


async def test_a_call_ends_although_its_connection_was_reset(
    engine: LeanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset(transport: object) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    sink = RecordingSink()
    peer = SocketPeer(engine, sink)
    async with over_tcp(peer):
        await peer.connected()
        await sink.wait_for(lambda: sink.state == "connected")
        (connection,) = engine._tcp._connections.values()
        monkeypatch.setattr(type(connection.transport), "write_eof", reset)
        (call,) = engine._addresses
        call.close("over")
        await sink.wait_for(lambda: sink.state == "closed")
        await until_gone(engine)
        assert engine.calls == 0
        assert not engine._by_address


class _Ends:
    """A listener and a transport that only note what happens to a connection."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.refused = False

    def opened(self, connection: tcp.Connection) -> None: ...

    def received(self, connection: tcp.Connection, data: bytes) -> None:
        self.got.append(data)

    def refuse(self, connection: tcp.Connection) -> None:
        self.refused = True

    def is_closing(self) -> bool:
        return self.refused


def _fed(pieces: list[bytes]) -> _Ends:
    ends = _Ends()
    connection = tcp.Connection(cast(tcp.TcpListener, ends))
    connection.connection_made(cast(asyncio.Transport, ends))
    for piece in pieces:
        while piece and not ends.refused:
            room = connection.get_buffer(-1)
            assert len(room) > 0, "a connection that can read no more would hang"
            taken = min(len(room), len(piece))
            room[:taken] = piece[:taken]
            connection.buffer_updated(taken)
            piece = piece[taken:]
    return ends


@given(
    st.lists(st.integers(0, tcp.MAX_DATAGRAM), max_size=12),
    st.lists(st.integers(1, 5000), min_size=1, max_size=40),
    st.integers(tcp.MAX_DATAGRAM + 1, 65535),
)
def test_any_frames_in_any_pieces(sizes: list[int], cuts: list[int], too_long: int) -> None:
    """Whole frames are handed on as they were, empty ones passed over; one that is too long is the end."""
    frames = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    stream = b"".join(map(frame, frames)) + too_long.to_bytes(2, "big") + bytes(100)
    pieces, at = [], 0
    for cut in itertools.cycle(cuts):
        pieces.append(stream[at : at + cut])
        at += cut
        if at >= len(stream):
            break
    ends = _fed(pieces)
    assert ends.got == [data for data in frames if data]
    assert ends.refused


@given(st.lists(st.binary(max_size=3000), max_size=20))
def test_any_bytes_are_frames_or_the_end(pieces: list[bytes]) -> None:
    assert all(0 < len(data) <= tcp.MAX_DATAGRAM for data in _fed(pieces).got)
