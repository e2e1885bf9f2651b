"""A caller made for measuring: one UDP socket, packets stamped by the kernel, no jitter buffer.

It is a full ICE agent that controls, the DTLS server, and an SCTP peer (aiortc's). A browser or aiortc adds
40 to 300 ms of its own between the wire and the ear; here a packet's time is when it reached the machine, so
what is measured is the service. The clock of all times is ``time.time()``: the kernel's stamps are on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from aioice import stun
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from vivavoz.measuring.offer import OPUS, offer
from vivavoz.media import rtp
from vivavoz.media.dtls import Dtls, Identity
from vivavoz.media.pacer import Pacer

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_CHECK_EVERY_S = 0.05
_CONSENT_EVERY_S = 2.0
_CONNECT_S = 15.0

Answer = Callable[[str], Awaitable[str]]
"""An offer in, the answer out."""


class Microphone(Protocol):
    def packet(self, now: float) -> bytes:
        """The Opus packet of the 20 ms that end at ``now``, which is when it is sent."""
        ...


class Ear(Protocol):
    def packet(self, arrived: float, packet: rtp.RtpPacket) -> None:
        """A packet of the service's voice."""
        ...


class Peers:
    """What the peers of one process share: a certificate and a clock."""

    def __init__(self) -> None:
        self.identity = Identity()
        self.pacer = Pacer()


class Peer:
    """One call, from the caller's side. ``events`` keeps ``(arrived, event)`` of the event channel."""

    def __init__(self, shared: Peers, microphone: Microphone, ear: Ear, *, channel: bool = True) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.closed = asyncio.Event()
        self._shared = shared
        self._microphone = microphone
        self._ear = ear
        self._with_channel = channel
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._ufrag, self._password = secrets.token_hex(4), secrets.token_hex(16)
        self._remote: tuple[str, int] | None = None
        self._remote_ufrag = self._remote_password = ""
        self._tie_breaker = secrets.randbits(64)
        self._check_at = 0.0
        self._selected = False
        self._dtls: Dtls | None = None
        self._sctp: RTCSctpTransport | None = None
        self._channel: RTCDataChannel | None = None
        self._stream = rtp.RtpStream(
            ssrc=secrets.randbits(32),
            payload_type=OPUS,
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(32),
            step=960,
        )
        self._connected = asyncio.Event()
        self._arrived = asyncio.Event()
        self._now = 0.0

    @property
    def remote_port(self) -> int:
        """The service's media port."""
        return self._remote[1] if self._remote is not None else 0

    async def connect(self, answer: Answer) -> None:
        """Offer, and return when sound (and events) can flow. Raises TimeoutError."""
        self._take(await answer(self._offer()))
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._shared.pacer.add(self)
        async with asyncio.timeout(_CONNECT_S):
            await self._connected.wait()

    def send(self, event: dict[str, Any]) -> None:
        """A client event."""
        self.send_text(json.dumps(event))

    def send_text(self, text: str) -> None:
        """A message of any text, good or bad."""
        assert self._channel is not None
        self._channel.send(text)

    async def wait_for(self, kind: str, *, after: float = 0.0, timeout_s: float = 30.0) -> tuple[float, Any]:
        """The first event of a type that arrived after a moment. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                for arrived, event in self.events:
                    if arrived > after and event["type"] == kind:
                        return arrived, event
                self._arrived.clear()
                await self._arrived.wait()

    async def close(self) -> None:
        """Say goodbye and free everything."""
        if self._sctp is not None:
            await self._sctp.stop()
        if self._dtls is not None:
            self._dtls.close()
        self._shared.pacer.remove(self)
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self.closed.set()

    # ------------------------------------------------------------------ offer and answer

    def _offer(self) -> str:
        return offer(
            self._socket.getsockname()[1],
            user=self._ufrag,
            password=self._password,
            fingerprint=self._shared.identity.fingerprint,
            ssrc=self._stream.ssrc,
            channel=self._with_channel,
        )

    def _take(self, answer: str) -> None:
        def value(pattern: str) -> str:
            found = re.search(pattern, answer, re.MULTILINE)
            if found is None:
                raise ValueError(f"the answer lacks {pattern}")
            return found[1].strip()

        self._remote_ufrag = value(r"^a=ice-ufrag:(.+)$")
        self._remote_password = value(r"^a=ice-pwd:(.+)$")
        port = value(r"^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host")
        self._remote = ("127.0.0.1", int(port))
        self._dtls = Dtls(
            self._shared.identity,
            client=value(r"^a=setup:(\w+)") == "passive",
            fingerprints=[("sha-256", value(r"^a=fingerprint:sha-256 (.+)$").upper())],
            transmit=self._transmit,
        )

    # ------------------------------------------------------------------ every 20 ms

    def tick(self, now: float, skipped: int) -> None:
        """The pacer's turn: checks, the handshake's timer, a packet of sound."""
        if now >= self._check_at:
            self._check_at = now + (_CONSENT_EVERY_S if self._selected else _CHECK_EVERY_S)
            self._transmit(self._check())
        if self._dtls is None or self._dtls.closed:
            return
        self._dtls.tick()
        if self._dtls.srtp is None:
            return
        self._stream.skip(skipped)
        payload = self._microphone.packet(time.time())
        if payload:
            self._transmit(self._dtls.srtp.protect(self._stream.packet(payload)))
        else:
            self._stream.skip()

    def _check(self) -> bytes:
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self._remote_ufrag}:{self._ufrag}"
        message.attributes["PRIORITY"] = 1845501695
        message.attributes["ICE-CONTROLLING"] = self._tie_breaker
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(self._remote_password.encode())
        message.add_fingerprint()
        return bytes(message)

    def _transmit(self, data: bytes) -> None:
        assert self._remote is not None
        with contextlib.suppress(OSError):
            self._socket.sendto(data, self._remote)

    # ------------------------------------------------------------------ what arrives

    def _readable(self) -> None:
        while self._socket.fileno() >= 0:
            try:
                data, ancillary, _, source = self._socket.recvmsg(2048, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of something sent to a service that is gone
            self._now = _stamp(ancillary)
            if data[0] < 4:
                self._stun(data, source)
            elif self._dtls is not None and data[0] < 64:
                self._secured(data)
            elif self._dtls is not None and self._dtls.srtp is not None and not rtp.is_rtcp(data):
                plain = self._dtls.srtp.unprotect(data)
                packet = rtp.parse(plain) if plain is not None else None
                if packet is not None:
                    self._ear.packet(self._now, packet)

    def _stun(self, data: bytes, source: tuple[str, int]) -> None:
        try:
            message = stun.parse_message(data)
        except ValueError:
            return
        if message.message_class == stun.Class.RESPONSE and not self._selected:
            self._selected = True
            assert self._dtls is not None
            self._dtls.start()
        elif message.message_class == stun.Class.REQUEST:
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = source
            answer.add_message_integrity(self._password.encode())
            answer.add_fingerprint()
            self._transmit(bytes(answer))

    def _secured(self, data: bytes) -> None:
        dtls = self._dtls
        assert dtls is not None
        for packet in dtls.receive(data):
            if self._sctp is not None:
                _run(self._sctp._handle_data(packet))
        if dtls.closed:
            self.closed.set()
        if dtls.srtp is not None and not self._connected.is_set() and self._sctp is None:
            if self._with_channel:
                self._open_channel(dtls)
            else:
                self._connected.set()

    def _open_channel(self, dtls: Dtls) -> None:
        self._sctp = RTCSctpTransport(_Lower(dtls))  # type: ignore[arg-type]
        self._channel = RTCDataChannel(self._sctp, RTCDataChannelParameters(label="oai-events"))
        self._channel.on("open", self._connected.set)
        self._channel.on("message", self._on_message)
        _run(self._sctp.start(RTCSctpCapabilities(maxMessageSize=262144), 5000))

    def _on_message(self, text: str) -> None:
        self.events.append((self._now, json.loads(text)))
        self._arrived.set()


class _Lower:
    """What aiortc's SCTP knows of DTLS."""

    state = "connected"

    def __init__(self, dtls: Dtls) -> None:
        self._dtls = dtls
        self._role = "client" if dtls.client else "server"

    async def _send_data(self, data: bytes) -> None:
        self._dtls.send(data)

    def _register_data_receiver(self, receiver: object) -> None: ...

    def _unregister_data_receiver(self, receiver: object) -> None: ...


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends, since nothing below it waits."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return float(seconds) + float(nanoseconds) / 1e9
    return time.time()
