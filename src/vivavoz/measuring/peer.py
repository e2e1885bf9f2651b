"""A caller made for measuring: one UDP socket, packets stamped by the kernel, no jitter buffer.

It is a full ICE agent that controls, the DTLS server, and an SCTP peer (aiortc's). A browser or aiortc adds
40 to 300 ms of its own between the wire and the ear; here a packet's time is when it reached the machine, so
what is measured is the service. The clock of all times is ``time.time()``: the kernel's stamps are on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aioice import stun

from vivavoz.measuring.answer import read_answer
from vivavoz.measuring.channel import Channel
from vivavoz.measuring.inbox import Event, Inbox
from vivavoz.measuring.offer import OPUS, offer
from vivavoz.measuring.stamped import stamp, stamped_socket
from vivavoz.media import rtp
from vivavoz.media.dtls import Dtls, DtlsError, Identity
from vivavoz.media.pacer import Pacer

_CHECK_EVERY_S = 0.05
_CONSENT_EVERY_S = 2.0
_CONNECT_S = 15.0
_LACKING = {
    "ice": "no candidate of the answer responded to ICE",
    "dtls": "the DTLS handshake was not done",
    "channel": "the data channel did not open",
}

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
    """One call, from the caller's side. ``hosts`` are the addresses of this machine that are offered."""

    def __init__(
        self,
        shared: Peers,
        microphone: Microphone,
        ear: Ear,
        *,
        channel: bool = True,
        hosts: Sequence[str] = ("127.0.0.1",),
    ) -> None:
        self.inbox = Inbox()
        self.reached: dict[str, float] = {}
        """When the answer came, ICE found a path, DTLS was done, the channel open: ``answer``, ``ice``,
        ``dtls``, ``channel``."""
        self.closed = asyncio.Event()
        self._shared = shared
        self._microphone = microphone
        self._ear = ear
        self._with_channel = channel
        self._loop = asyncio.get_running_loop()
        self._hosts = hosts
        self._socket = stamped_socket(hosts[0] if len(hosts) == 1 else "0.0.0.0")
        self._ufrag, self._password = secrets.token_hex(4), secrets.token_hex(16)
        self._remotes: list[tuple[str, int]] = []
        self._remote_ufrag = self._remote_password = ""
        self._tie_breaker = secrets.randbits(64)
        self._check_at = 0.0
        self._selected = False
        self._dtls: Dtls | None = None
        self._channel: Channel | None = None
        self._stream = rtp.RtpStream(
            ssrc=secrets.randbits(32),
            payload_type=OPUS,
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(32),
            step=960,
        )
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._now = 0.0

    @property
    def remote_port(self) -> int:
        """The service's media port."""
        return self._remotes[0][1] if self._remotes else 0

    @property
    def events(self) -> list[tuple[float, Event]]:
        """``(arrived, event)`` of the event channel."""
        return self.inbox.events

    async def connect(self, answer: Answer) -> None:
        """Offer, and return when sound (and events) can flow.

        Raises TimeoutError, :class:`~vivavoz.media.dtls.DtlsError`,
        :class:`~vivavoz.measuring.answer.AnswerError`.
        """
        self._take(await answer(self._offer()))
        self.reached["answer"] = time.time()
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._shared.pacer.add(self)
        self._ask_for_paths()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.shield(self._settled)
        except TimeoutError:
            lacking = next(step for step in ("ice", "dtls", "channel") if step not in self.reached)
            raise TimeoutError(f"{_LACKING[lacking]} within {_CONNECT_S:g} s of the answer") from None

    def send(self, event: dict[str, Any]) -> None:
        """A client event."""
        self.send_text(json.dumps(event))

    def send_text(self, text: str) -> None:
        """A message of any text, good or bad."""
        assert self._channel is not None
        self._channel.send(text)

    async def wait_for(
        self, kind: str, *, after: float = 0.0, timeout_s: float = 30.0
    ) -> tuple[float, Event]:
        """The first event of a type that arrived after a moment. Raises TimeoutError,
        :class:`~vivavoz.measuring.inbox.Ended`."""
        return await self.inbox.wait_for(kind, after=after, timeout_s=timeout_s)

    async def close(self) -> None:
        """Say goodbye and free everything."""
        if self._channel is not None:
            await self._channel.close()
        if self._dtls is not None:
            self._dtls.close()
        self._shared.pacer.remove(self)
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self._end("hung up")

    def _offer(self) -> str:
        return offer(
            self._hosts,
            self._socket.getsockname()[1],
            user=self._ufrag,
            password=self._password,
            fingerprint=self._shared.identity.fingerprint,
            ssrc=self._stream.ssrc,
            channel=self._with_channel,
        )

    def _take(self, sdp: str) -> None:
        answer = read_answer(sdp)
        self._remote_ufrag, self._remote_password = answer.user, answer.password
        self._remotes = answer.addresses
        self._dtls = Dtls(
            self._shared.identity,
            client=answer.passive,
            fingerprints=[("sha-256", answer.fingerprint)],
            transmit=self._transmit,
        )

    def tick(self, now: float, skipped: int) -> None:
        """The pacer's turn: checks, the handshake's timer, a packet of sound."""
        if now >= self._check_at:
            self._check_at = now + (_CONSENT_EVERY_S if self._selected else _CHECK_EVERY_S)
            self._ask_for_paths()
        if self._dtls is None or self._dtls.closed:
            return
        try:
            self._dtls.tick()
        except DtlsError as error:
            self._fail(error)
        if self._dtls.srtp is None:
            return
        self._stream.skip(skipped)
        payload = self._microphone.packet(time.time())
        if payload:
            self._transmit(self._dtls.srtp.protect(self._stream.packet(payload)))
        else:
            self._stream.skip()

    def _ask_for_paths(self) -> None:
        for remote in self._remotes:
            self._send_to(remote, self._check())

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
        self._send_to(self._remotes[0], data)

    def _send_to(self, remote: tuple[str, int], data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(data, remote)

    def _readable(self) -> None:
        while self._socket.fileno() >= 0:
            try:
                data, ancillary, _, source = self._socket.recvmsg(2048, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of something sent to a service that is gone
            self._now = stamp(ancillary)
            if not data:
                continue
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
            if source not in self._remotes:
                return
            self._selected, self._remotes = True, [source]
            self.reached["ice"] = self._now
            assert self._dtls is not None
            self._dtls.start()
        elif message.message_class == stun.Class.REQUEST:
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = source
            answer.add_message_integrity(self._password.encode())
            answer.add_fingerprint()
            self._send_to(source, bytes(answer))

    def _secured(self, data: bytes) -> None:
        dtls = self._dtls
        assert dtls is not None
        try:
            packets = dtls.receive(data)
        except DtlsError as error:
            self._fail(error)
            return
        for packet in packets:
            if self._channel is not None:
                self._channel.receive(packet)
        if dtls.closed:
            self._end("the endpoint hung up")
        if dtls.srtp is not None and "dtls" not in self.reached:
            self.reached["dtls"] = self._now
            if self._with_channel:
                self._channel = Channel(dtls, opened=self._opened, message=self._on_message)
            else:
                self._settle()

    def _opened(self) -> None:
        self.reached["channel"] = self._now
        self._settle()

    def _on_message(self, text: str | bytes) -> None:
        self.inbox.put(self._now, text)

    def _settle(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _fail(self, error: DtlsError) -> None:
        if not self._settled.done():
            self._settled.set_exception(error)

    def _end(self, how: str) -> None:
        self.inbox.end(how)
        self.closed.set()
