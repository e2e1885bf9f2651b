"""The lean engine: one UDP socket for all calls (RFC 7983), one pacer, no task or thread for a call."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
import time
from collections.abc import Callable

import ifaddr
import msgspec

from vivavoz.media import opus, stun
from vivavoz.media.audio import CNAME, AudioStream
from vivavoz.media.config import MediaConfig
from vivavoz.media.dtls import Dtls, Identity
from vivavoz.media.events import EventChannel
from vivavoz.media.ice import IceAgent, random_chars
from vivavoz.media.pacer import Pacer
from vivavoz.media.peer import Peer
from vivavoz.media.ports import CallSink, MediaError, MediaFull
from vivavoz.media.sdp import Candidate, Local, Offer, parse_offer, write_answer
from vivavoz.media.stun import Address

log = logging.getLogger(__name__)

_BATCH = 64  # datagrams read in one go, before others have their turn
_DRAIN = 16  # batches read at once after a stall
_MAX_DATAGRAM = 2048
_ADDRESSES_PER_CALL = 8
_SOCKET_BUFFER = 1 << 20


class EngineStats(msgspec.Struct):
    """Counters since the start."""

    calls_accepted: int = 0
    datagrams_received: int = 0
    datagrams_dropped: int = 0
    """From nobody we know, or nothing we understand."""
    send_failures: int = 0


class LeanEngine:
    """A :class:`~vivavoz.media.ports.MediaEngine` in Python over C libraries: OpenSSL, libsrtp, libopus."""

    def __init__(self, config: MediaConfig | None = None) -> None:
        self.config = config or MediaConfig()
        self.stats = EngineStats()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._identity = Identity()
        self._pacer = Pacer(slots=self.config.slots, after_stall=self._drain)
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
    def calls(self) -> int:
        return len(self._addresses)

    async def start(self) -> None:
        """Bind. Raises ``OSError`` if it cannot, :class:`~vivavoz.media.opus.OpusError` without libopus."""
        opus.library()
        self._loop = asyncio.get_running_loop()
        infos = await self._loop.getaddrinfo(self.config.host, self.config.port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = infos[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        if self.config.local_only:
            self._own = frozenset(("127.0.0.1", "::1", *machine_addresses(ipv6=True)))
        self._candidates = [Candidate(each, self.port) for each in await self._advertised(str(address[0]))]
        self._loop.add_reader(sock.fileno(), self._readable)

    async def stop(self) -> None:
        """Close all calls and the socket; their sinks hear of it before this returns."""
        for peer in tuple(self._addresses):
            peer.close("the service is stopping")
        self._pacer.stop()
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
        self.stats.calls_accepted += 1
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
        if self._socket is None:
            return
        try:
            self._socket.sendto(data, address)
        except OSError:
            self.stats.send_failures += 1

    def later(self, callback: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon(callback)

    def forget(self, peer: Peer) -> None:
        self._pacer.remove(peer)
        self._by_ufrag.pop(self._ufrags.pop(peer, ""), None)
        for address in self._addresses.pop(peer, ()):
            self._by_address.pop(address, None)

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
                data, source = self._socket.recvfrom(_MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                self.stats.send_failures += 1  # an ICMP error of something sent earlier
                continue
            self.stats.datagrams_received += 1
            try:
                known = self.handle(data, source, time.monotonic())
            except Exception:
                log.exception("a datagram could not be handled")
                known = False
            if not known:
                self.stats.datagrams_dropped += 1
        return True

    def handle(self, data: bytes, source: Address, now: float) -> bool:
        """A datagram (RFC 7983); False if it is dropped."""
        if len(data) < 2:
            return False
        if data[0] < 4:
            return self._stun(data, source, now)
        peer = self._by_address.get(source)
        if peer is None or not (20 <= data[0] < 64 or 128 <= data[0] < 192):
            return False
        peer.datagram(data, now)
        return True

    def _stun(self, data: bytes, source: Address, now: float) -> bool:
        if self._own is not None and source[0].removeprefix("::ffff:") not in self._own:
            return False
        message = stun.parse(data)
        if message is None:
            return False
        if message.kind == stun.BINDING_SUCCESS:
            peer = self._by_address.get(source)
            return peer is not None and peer.probe_answered(data, message, now)
        peer = self._by_ufrag.get(message.username.partition(":")[0])
        if message.kind != stun.BINDING_REQUEST or peer is None:
            return False
        answer, authentic = peer.check(data, message, source, now)
        if authentic:
            self._learn(peer, source)
        if answer is not None:
            self.transmit(answer, source)
        if authentic:
            peer.checked()
        return answer is not None

    def _learn(self, peer: Peer, source: Address) -> None:
        """``source`` is this peer's: packets from it are too."""
        before = self._by_address.get(source)
        if before is peer:
            return
        if before is not None:
            self._addresses[before].remove(source)
        self._by_address[source] = peer
        addresses = self._addresses[peer]
        addresses.append(source)
        if len(addresses) > _ADDRESSES_PER_CALL:
            oldest = next(address for address in addresses if address != peer.ice.selected)
            addresses.remove(oldest)
            del self._by_address[oldest]

    async def _advertised(self, bound: str) -> list[str]:
        assert self._loop is not None
        if self.config.advertise:
            found: list[str] = []
            for name in self.config.advertise:
                infos = await self._loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
                found += [str(info[4][0]) for info in infos]
            return list(dict.fromkeys(found))
        ip = ipaddress.ip_address(bound)
        if not ip.is_unspecified:
            return [str(ip)]
        return machine_addresses(ipv6=ip.version == 6)


def machine_addresses(*, ipv6: bool) -> list[str]:
    """This machine's addresses, loopback last, link-local ones left out."""
    found = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            text = each.ip if isinstance(each.ip, str) else each.ip[0]
            ip = ipaddress.ip_address(text.partition("%")[0])
            if not ip.is_link_local and (ip.version == 4 or ipv6):
                found.append(ip)
    found.sort(key=lambda ip: ip.is_loopback)
    return list(dict.fromkeys(map(str, found))) or ["127.0.0.1"]


__all__ = ["EngineStats", "LeanEngine", "MediaError", "machine_addresses"]
