"""The lean engine: one UDP socket for all calls (RFC 7983), a TCP port where asked for, one pacer, no task or
thread for a call."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable

from vivavoz.media import opus, stun
from vivavoz.media.addresses import advertised, bound_socket, machine_addresses
from vivavoz.media.answer import Candidate, Local, write_answer
from vivavoz.media.audio import CNAME, AudioStream
from vivavoz.media.config import MediaConfig
from vivavoz.media.dtls import Dtls, Identity
from vivavoz.media.events import EventChannel
from vivavoz.media.ice import IceAgent, random_chars
from vivavoz.media.pacer import Pacer
from vivavoz.media.peer import Peer
from vivavoz.media.ports import CallSink, Drop, End, EngineStats, MediaError, MediaFull
from vivavoz.media.sdp import Offer, parse_offer
from vivavoz.media.stun import Address
from vivavoz.media.tcp import MAX_DATAGRAM, TcpAddress, TcpListener

log = logging.getLogger(__name__)

_BATCH = 64  # datagrams read in one go, before others have their turn
_DRAIN = 16  # batches read at once after a stall
_ADDRESSES_PER_CALL = 8
_SOCKET_BUFFER = 1 << 20


class LeanEngine:
    """A :class:`~vivavoz.media.ports.MediaEngine` in Python over C libraries: OpenSSL, libsrtp, libopus."""

    def __init__(self, config: MediaConfig | None = None) -> None:
        self.config = config or MediaConfig()
        self._stats = EngineStats()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._identity = Identity()
        self._pacer = Pacer(slots=self.config.slots, after_stall=self._drain)
        self._tcp = TcpListener(handle=self._framed, lost=self._path_lost, admits=self._admits)
        self._candidates: list[Candidate] = []
        self._own: frozenset[str] | None = None
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self._addresses: dict[Peer, list[Address]] = {}
        self._ufrags: dict[Peer, str] = {}

    @property
    def port(self) -> int:
        """The UDP port bound; 0 before :meth:`start`."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    @property
    def tcp_port(self) -> int:
        """The TCP port bound; 0 without one."""
        return self._tcp.port

    @property
    def stats(self) -> EngineStats:
        """Gathered anew each time."""
        stats = self._stats.copy()
        stats.connections_accepted = self._tcp.accepted
        stats.connections_refused = self._tcp.refused
        for peer in self._addresses:
            stats.add(peer.stats())
        return stats

    @property
    def calls(self) -> int:
        return len(self._addresses)

    @property
    def late_ms(self) -> float:
        """Milliseconds that one packet in a hundred left too late by, in the last 5 s."""
        return self._pacer.late * 1000

    async def start(self) -> None:
        """Bind. Raises ``OSError`` if it cannot (for the TCP port :class:`~vivavoz.media.tcp.TcpPortError`),
        :class:`~vivavoz.media.opus.OpusError` without libopus."""
        opus.library()
        config = self.config
        self._loop = asyncio.get_running_loop()
        sock = await bound_socket(config.host, config.port, socket.SOCK_DGRAM, _SOCKET_BUFFER)
        try:
            addresses = await advertised(config.advertise, str(sock.getsockname()[0]))
            if config.tcp_port is not None:
                await self._tcp.start(config.host, config.tcp_port)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        if config.local_only:
            self._own = frozenset(("127.0.0.1", "::1", *machine_addresses(ipv6=True)))
        self._candidates = [Candidate(each, self.port) for each in addresses]
        if config.tcp_port is not None:
            self._candidates += [Candidate(each, self.tcp_port, "tcp") for each in addresses]
        self._loop.add_reader(sock.fileno(), self._readable)

    async def stop(self) -> None:
        """Close all calls and the socket; their sinks hear of it before this returns."""
        for peer in tuple(self._addresses):
            peer.close("the service is stopping", "stopping")
        self._pacer.stop()
        await self._tcp.stop()
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            await asyncio.sleep(0)

    def accept(self, offer_sdp: str, sink: CallSink) -> tuple[str, Peer]:
        """Answer an offer at once, with all candidates. Raises :class:`MediaError` and :class:`MediaFull`."""
        if self._socket is None:
            raise MediaFull("the media engine is not running")
        offer = parse_offer(offer_sdp)
        if len(self._addresses) >= self.config.max_calls:
            raise MediaFull("there are as many calls as this service takes")
        if self._identity.stale:
            self._identity = Identity()
        ufrag, password, ssrc = random_chars(12), random_chars(32), secrets.randbits(32)
        client = offer.setup != "active"
        answer = write_answer(
            offer,
            Local(
                session_id=secrets.randbits(62),
                ufrag=ufrag,
                password=password,
                fingerprint=self._identity.fingerprint,
                setup="active" if client else "passive",
                candidates=self._candidates,
                ssrc=ssrc,
                cname=CNAME,
                max_message_size=self.config.max_message,
            ),
        )
        peer = self._peer(offer, sink, ufrag, password, ssrc, client=client)
        self._stats.calls_accepted += 1
        self._by_ufrag[ufrag] = peer
        self._ufrags[peer] = ufrag
        self._addresses[peer] = []
        self._pacer.add(peer)
        return answer, peer

    def _peer(
        self, offer: Offer, sink: CallSink, ufrag: str, password: str, ssrc: int, *, client: bool
    ) -> Peer:
        config = self.config
        ice = IceAgent(
            ufrag=ufrag, password=password, remote_ufrag=offer.ufrag, remote_password=offer.password
        )
        peer = Peer(config, sink, ice, self, time.monotonic())
        dtls = Dtls(self._identity, client=client, fingerprints=offer.fingerprints, transmit=peer.transmit)
        sends = offer.direction in ("sendrecv", "recvonly")
        audio = AudioStream(config, offer.codecs, ssrc=ssrc, sends=sends, transmit=peer.transmit)
        events = None
        if offer.events is not None:
            events = EventChannel(
                client=client,
                remote_port=offer.sctp_port,
                transmit=dtls.send,
                on_open=peer.channel_opened,
                on_message=peer.channel_message,
                on_closed=peer.channel_closed,
                max_message=config.max_message,
                max_buffered=config.outbox,
            )
        peer.equip(dtls, audio, events)
        return peer

    # ------------------------------------------------------------------ for peers

    def transmit(self, data: bytes, address: Address) -> None:
        """Send now or not at all: what the socket does not take is lost, as it may be on any network."""
        if isinstance(address, TcpAddress):
            self._stats.send_failures += not self._tcp.send(data, address)
            return
        if self._socket is None:
            return
        try:
            self._socket.sendto(data, address)
        except OSError:
            self._stats.send_failures += 1

    def later(self, callback: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon(callback)

    def forget(self, peer: Peer, end: End) -> None:
        self._stats.add(peer.stats())
        self._stats.ended[end] = self._stats.ended.get(end, 0) + 1
        self._pacer.remove(peer)
        self._by_ufrag.pop(self._ufrags.pop(peer, ""), None)
        for address in self._addresses.pop(peer, ()):
            self._leave(address)

    # ------------------------------------------------------------------ the socket

    def _drain(self) -> None:
        """Read what piled up while the loop was kept from it."""
        for _ in range(_DRAIN):
            if not self._readable():
                return

    def _readable(self) -> bool:
        """Read a batch; whether there may be more."""
        for _ in range(_BATCH):
            if self._socket is None:
                return False
            try:
                data, source = self._socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                self._stats.send_failures += 1  # an ICMP error of something sent earlier
                continue
            self._received(data, source)
        return True

    def _received(self, data: bytes, source: Address) -> bool:
        """Count a datagram and handle it; whether it was good for anything."""
        self._stats.datagrams_received += 1
        try:
            known = self.handle(data, source, time.monotonic())
        except Exception:
            log.exception("a datagram could not be handled")
            return self._drop("failed")
        return known

    def _drop(self, why: Drop) -> bool:
        self._stats.dropped[why] = self._stats.dropped.get(why, 0) + 1
        return False

    # ------------------------------------------------------------------ TCP

    def _framed(self, data: bytes, source: TcpAddress) -> bool:
        return self._received(data, source)

    def _path_lost(self, address: TcpAddress) -> None:
        """A connection is gone: its call may have other paths, or get one before its consent expires."""
        peer = self._by_address.pop(address, None)
        if peer is not None:
            self._addresses[peer].remove(address)
            peer.ice.lost(address)

    def _admits(self, host: str) -> bool:
        return self._own is None or host.removeprefix("::ffff:") in self._own

    # ------------------------------------------------------------------ what came

    def handle(self, data: bytes, source: Address, now: float) -> bool:
        """A datagram (RFC 7983); False if it is dropped."""
        if len(data) < 2:
            return self._drop("malformed")
        if data[0] < 4:
            return self._stun(data, source, now)
        peer = self._by_address.get(source)
        if not (20 <= data[0] < 64 or 128 <= data[0] < 192):
            return self._drop("malformed")
        if peer is None:
            return self._drop("stranger")
        peer.datagram(data, now)
        return True

    def _stun(self, data: bytes, source: Address, now: float) -> bool:
        if not self._admits(source[0]):
            return self._drop("elsewhere")
        message = stun.parse(data)
        if message is None or message.kind not in (stun.BINDING_REQUEST, stun.BINDING_SUCCESS):
            return self._drop("malformed")
        if message.kind == stun.BINDING_SUCCESS:
            peer = self._by_address.get(source)
            if peer is None:
                return self._drop("stranger")
            return peer.probe_answered(data, message, now) or self._drop("unauthentic")
        peer = self._by_ufrag.get(message.username.partition(":")[0])
        if peer is None:
            return self._drop("unauthentic")
        answer, authentic = peer.check(data, message, source, now)
        if authentic:
            self._learn(peer, source)
        if answer is not None:
            self.transmit(answer, source)
        if authentic:
            peer.checked()
        return answer is not None or self._drop("unauthentic")

    def _learn(self, peer: Peer, source: Address) -> None:
        """``source`` is this peer's: packets from it are too."""
        before = self._by_address.get(source)
        if before is peer:
            return
        if before is not None:
            self._addresses[before].remove(source)
        self._by_address[source] = peer
        if isinstance(source, TcpAddress):
            self._tcp.prove(source)
        addresses = self._addresses[peer]
        addresses.append(source)
        if len(addresses) > _ADDRESSES_PER_CALL:
            oldest = next(address for address in addresses if address != peer.ice.selected)
            addresses.remove(oldest)
            self._leave(oldest)

    def _leave(self, address: Address) -> None:
        """``address`` is no call's any more."""
        self._by_address.pop(address, None)
        if isinstance(address, TcpAddress):
            self._tcp.drop(address)


__all__ = ["EngineStats", "LeanEngine", "MediaError"]
